#!/bin/sh
# In the container: its addresses ($IP_ADDR) on venet0, for the kernel alone.
set -eu
device=${NETDEV:-venet0}
command -v ip >/dev/null || exit 0
[ -d "/sys/class/net/$device" ] || exit 0
ip link set "$device" up
for address in ${IP_ADDR:-}; do
    case $address in
        */*) ;;
        *:*) address=$address/128 ;;
        *) address=$address/32 ;;
    esac
    ip address replace "$address" dev "$device"
done
ip route show default | grep -q . || ip route add default dev "$device"
exit 0
