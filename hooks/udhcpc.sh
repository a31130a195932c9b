#!/bin/sh
# What udhcpc calls at every event of a lease ($1), with what the server sent in the environment.
# Anybody on the network may be that server: every value is checked before use, and what is not
# well-formed is not used. Without a valid address nothing happens at all.
set -eu
SR_POINT=net SR_MODULE=dhcp
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=hooks/lib/ip.sh
. "$SR_LIB/ip.sh"
# shellcheck source=hooks/lib/dhcp.sh
. "$SR_LIB/dhcp.sh"

nic=${interface:-}
state=$SR_NET_STATE
mtu_least=576 # RFC 791: what every host must take; less would be an attack on speed
routes_most=64

# The first word of $1 that the check $2 accepts.
first_valid() {
    set -f
    for _first_word in $1; do
        if "$2" "$_first_word"; then
            printf '%s\n' "$_first_word"
            return 0
        fi
    done
    return 1
}

# An address that a machine can have: none of this network, loopback, multicast or broadcast.
check_host_ip() {
    sr_check_ip4 "$1" || return 1
    case $1 in
        0.* | 127.* | 22[4-9].* | 23?.* | 24?.* | 25?.*) return 1 ;;
    esac
}

default_route() {
    sr_default_route "$nic" "$1" || sr_warn "the gateway $1 could not be used"
}

# Classless routes: NETWORK/PREFIX GATEWAY …; where there are any, the option for routers does not
# count (RFC 3442).
static_routes() {
    set -f
    _static_to=
    _static_count=0
    for _static_word in $1; do
        if [ -z "$_static_to" ]; then
            _static_to=$_static_word
            continue
        fi
        _static_count=$((_static_count + 1))
        [ "$_static_count" -le "$routes_most" ] || break
        if sr_check_cidr "$_static_to" && sr_check_ip4 "$_static_word"; then
            one_route "$_static_to" "$_static_word"
        fi
        _static_to=
    done
    set +f
}

# one_route NETWORK/PREFIX GATEWAY; 0.0.0.0 says that the network is on this very link.
one_route() {
    case $1,$2 in
        */0,0.0.0.0) sr_warn "a default route without a gateway is not used" ;;
        */0,*) default_route "$2" ;;
        *,0.0.0.0) sr_run ip route replace "$1" dev "$nic" || sr_warn "no route to $1" ;;
        *) sr_run ip route replace "$1" via "$2" dev "$nic" || sr_warn "no route to $1 via $2" ;;
    esac
}

set_mtu() {
    [ -z "${SR_NETWORK_MTU:-}" ] && sr_check_int "$1" || return 0
    if [ "$1" -lt "$mtu_least" ] || [ "$1" -gt 65535 ]; then
        sr_warn "the DHCP server's MTU $1 is not used"
    else
        sr_run ip link set "$nic" mtu "$1" || sr_warn "$nic can't have the MTU $1"
    fi
}

set_nameservers() {
    [ "${SR_NETWORK_PEERDNS:-1}" = 1 ] || return 0
    set -f
    for _name_server in $1; do
        sr_check_ip4 "$_name_server" || continue
        sr_nameserver "$_name_server"
    done
    set +f
}

# keep NAME VALUE: for scripts to come (sr_get). Several cards may be answered at once: by a file of
# this card's own.
keep() {
    mkdir -p "$SR_RUN/state"
    printf '%s\n' "$2" >"$SR_RUN/state/.$nic"
    mv "$SR_RUN/state/.$nic" "$SR_RUN/state/$1"
}

# The root that the first server to name one has, for a boot that is told to ask (root=dhcp): who
# takes it looks at it once more.
boot_server() {
    [ -z "$(sr_get DHCP_ROOT_PATH '')" ] || return 0
    if _boot_server=$(first_valid "${siaddr:-} ${serverid:-}" check_host_ip); then
        keep DHCP_SERVER "$_boot_server"
    fi
    if [ -n "${rootpath:-}" ] && [ "${#rootpath}" -le 255 ] && sr_check_string "$rootpath"; then
        keep DHCP_ROOT_PATH "$rootpath"
    fi
}

# The node is known before anybody on the network is asked, and its name stays: that of the server
# may only agree. What differs is told, once: two nodes' cables or leases may have been mixed up.
compare_name() {
    [ -n "$1" ] && _compare_own=$(sr_get NODE_NAME) || return 0
    if ! sr_check_host "$1"; then
        _compare_said="a name that is none"
    elif [ "${1%%.*}" = "${_compare_own%%.*}" ]; then
        return 0
    else
        _compare_said="the name $1"
    fi
    [ ! -f "$state/name.$nic" ] || return 0
    : >"$state/name.$nic"
    sr_warn "the DHCP server has $_compare_said for this node, which is $_compare_own: not used"
}

configure() {
    if ! sr_check_interface "$nic" || ! check_host_ip "${ip:-}"; then
        sr_warn "the DHCP server's address is not well-formed: not used"
        return 0
    fi
    _conf_prefix=$(sr_mask_to_prefix "${subnet:-}") && [ "$_conf_prefix" -ge 8 ] &&
        [ "$_conf_prefix" -le 32 ] || _conf_prefix=24
    mkdir -p "$state"
    _conf_new=$ip/$_conf_prefix
    _conf_old=
    [ ! -s "$state/dhcp.$nic" ] || read -r _conf_old <"$state/dhcp.$nic"
    [ -z "${mtu:-}" ] || set_mtu "$mtu"
    sr_run ip addr replace "$_conf_new" dev "$nic"
    if [ -n "$_conf_old" ] && [ "$_conf_old" != "$_conf_new" ]; then
        sr_warn "the address of $nic changed from $_conf_old to $_conf_new"
        sr_run ip addr del "$_conf_old" dev "$nic" || :
    fi
    if [ -n "${staticroutes:-}" ]; then
        static_routes "$staticroutes"
    elif _conf_router=$(first_valid "${router:-}" check_host_ip); then
        default_route "$_conf_router"
    fi
    set_nameservers "${dns:-}"
    boot_server
    compare_name "${hostname:-}"
    printf '%s\n' "$_conf_new" >"$state/.dhcp.$nic"
    mv "$state/.dhcp.$nic" "$state/dhcp.$nic"
}

case ${1:-} in
    bound | renew) configure ;;
    nak) sr_warn "the DHCP server refused the request" ;;
    # The lease is lost, or the client starts. The address stays: the root may hang on it.
    deconfig | leasefail) ;;
esac
