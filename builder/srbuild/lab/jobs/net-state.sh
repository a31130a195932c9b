# Say how the network is: the bond $1's active slave, the MTU of the interface $2, and whether a
# packet of that size reaches the host $3 in one piece.
echo "active $(cat "/sys/class/net/$1/bonding/active_slave")"
read -r mtu <"/sys/class/net/$2/mtu"
echo "mtu $mtu"
fragments() {
    awk '$1 == "Ip:" { last = $19 } END { print last }' /proc/net/snmp
}
before=$(fragments)
# 28: the headers of IPv4 and ICMP
ping -c 1 -W 5 -s "$((mtu - 28))" "$3" >/dev/null
[ "$(fragments)" = "$before" ] && echo "unfragmented yes" || echo "unfragmented no"
