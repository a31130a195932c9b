#!/bin/sh
# What dhclient -6 calls at every event ($reason), with what the server sent in the environment
# (dhclient-script(8)). Anybody on the link may be that server: what is not well-formed is not used.
# Routes are not DHCPv6's business, the kernel has them from routers' advertisements.
set -eu
SR_POINT=net SR_MODULE=dhcp6
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=hooks/lib/ip.sh
. "$SR_LIB/ip.sh"
# shellcheck source=hooks/lib/dhcp.sh
. "$SR_LIB/dhcp.sh"

nic=${interface:-}

# An address that a machine can have: neither none, loopback, link-local nor multicast.
check_host_ip6() {
    sr_check_ip6 "$1" || return 1
    case $1 in
        :: | ::1 | [Ff][Ee][89AaBb]* | [Ff][Ff]*) return 1 ;;
    esac
}

configure() {
    if ! sr_check_interface "$nic" || ! check_host_ip6 "${new_ip6_address:-}"; then
        sr_warn "the DHCPv6 server's address is not well-formed: not used"
        return 0
    fi
    _conf_length=${new_ip6_prefixlen:-128}
    sr_check_cidr "$new_ip6_address/$_conf_length" && [ "$_conf_length" -ge 48 ] || _conf_length=128
    _conf_new=$new_ip6_address/$_conf_length
    mkdir -p "$SR_NET_STATE"
    _conf_old=
    [ ! -s "$SR_NET_STATE/dhcp6.$nic" ] || read -r _conf_old <"$SR_NET_STATE/dhcp6.$nic"
    sr_run ip addr replace "$_conf_new" dev "$nic"
    if [ -n "$_conf_old" ] && [ "$_conf_old" != "$_conf_new" ]; then
        sr_warn "the address of $nic changed from $_conf_old to $_conf_new"
        sr_run ip addr del "$_conf_old" dev "$nic" || :
    fi
    [ "${SR_NETWORK_PEERDNS:-1}" != 1 ] || set_nameservers "${new_dhcp6_name_servers:-}"
    printf '%s\n' "$_conf_new" >"$SR_NET_STATE/.dhcp6.$nic"
    mv "$SR_NET_STATE/.dhcp6.$nic" "$SR_NET_STATE/dhcp6.$nic"
}

set_nameservers() {
    set -f
    for _name_server in $1; do
        sr_check_ip6 "$_name_server" || continue
        sr_nameserver "$_name_server"
    done
    set +f
}

case ${reason:-} in
    BOUND6 | RENEW6 | REBIND6) configure ;;
    # The lease is lost, or the client ends. The address stays: the root may hang on it.
    *) ;;
esac
