# Answer by DHCP on the interface $1: to the MAC address $2 with $3, to others with an address that
# leads nowhere.
cat >/run/udhcpd.conf <<END
start 10.9.0.200
end 10.9.0.210
interface $1
lease_file /run/udhcpd.leases
pidfile /run/udhcpd.pid
static_lease $2 $3
option subnet 255.255.255.0
option lease 600
END
: >/run/udhcpd.leases
udhcpd /run/udhcpd.conf
