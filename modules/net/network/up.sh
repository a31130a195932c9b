#!/bin/sh
# Bring up the network. What to do comes, in this order, from ip= on the kernel's command line,
# the node's address in the cluster file, the option address, or else DHCP.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=hooks/lib/ip.sh
. "$SR_LIB/ip.sh"

reject_others() {
    for _other_name in bond vlan bridge team ifname rd.route; do
        if sr_cmdline "$_other_name" >/dev/null; then
            sr_fail "the kernel parameter $_other_name= is not supported by this image" \
                "use ip= with a plain interface, or configure it on the switch"
        fi
    done
}

# Print the names of the machine's network cards: what has a device behind it.
cards() {
    for _card_path in "$SR_SYS"/class/net/*/device; do
        [ -e "$_card_path" ] || continue
        _card_path=${_card_path%/device}
        printf '%s\n' "${_card_path##*/}"
    done
}

# Print the first card that has one of the MAC addresses $1 (commas between).
card_by_mac() {
    for _mac_card in $(cards); do
        read -r _mac_own <"$SR_SYS/class/net/$_mac_card/address" || continue
        case ,$1, in
            *",$_mac_own,"*)
                printf '%s\n' "$_mac_card"
                return 0
                ;;
        esac
    done
    return 1
}

has_card() {
    [ -d "$SR_SYS/class/net/$1" ]
}

has_link() {
    read -r _link_state <"$SR_SYS/class/net/$1/carrier" && [ "$_link_state" = 1 ]
} 2>/dev/null

# Set $chosen to the first card with a link.
first_link() {
    for chosen in $(cards); do
        has_link "$chosen" && return 0
    done
    return 1
}

bootif_mac() {
    _bootif=$(printf '%s' "$SR_NETWORK_BOOTIF" | tr 'A-F-' 'a-f:')
    case $_bootif in
        ??:??:??:??:??:??:??) _bootif=${_bootif#??:} ;;
    esac
    sr_check_mac "$_bootif" ||
        sr_fail "BOOTIF=$SR_NETWORK_BOOTIF is not a MAC address" "write BOOTIF=01-52-54-00-12-34-56"
    printf '%s\n' "$_bootif"
}

# Set $chosen to the interface to use.
choose_interface() {
    chosen=$SR_NETWORK_INTERFACE
    [ -z "$chosen" ] || return 0
    chosen=$(card_by_mac "$(sr_get NODE_MACS -)") && return 0
    if [ -n "$SR_NETWORK_BOOTIF" ]; then
        _choose_mac=$(bootif_mac)
        chosen=$(card_by_mac "$_choose_mac") && return 0
        sr_fail "no card has the MAC address of BOOTIF ($_choose_mac)" \
            "the machine's cards: $(cards | tr '\n' ' '); is the driver in the image?"
    fi
    for _choose_card in $(cards); do
        sr_run ip link set "$_choose_card" up || :
    done
    sr_wait_for "$SR_NETWORK_CARRIER_TIMEOUT" "a network card with a link" first_link ||
        sr_fail "no network card has a link" \
            "the machine's cards: $(cards | tr '\n' ' '); is a cable plugged in, is the driver in the image?"
}

# link_up INTERFACE [MTU]
link_up() {
    sr_check_interface "$1" || sr_fail "no interface can be named '$1'"
    sr_wait_for "$SR_CORE_NIC_TIMEOUT" "the interface $1" has_card "$1" ||
        sr_fail "there is no interface $1" "the machine's cards: $(cards | tr '\n' ' ')"
    if [ -n "${2:-$SR_NETWORK_MTU}" ]; then
        sr_run ip link set "$1" mtu "${2:-$SR_NETWORK_MTU}"
    fi
    sr_run ip link set "$1" up
    sr_wait_for "$SR_NETWORK_CARRIER_TIMEOUT" "a link on $1" has_link "$1" ||
        sr_fail "$1 has no link" "is its cable plugged in, is the switch's port up?"
}

# use_static INTERFACE ADDRESS/PREFIX [GATEWAY]
use_static() {
    sr_run ip addr replace "$2" dev "$1"
    if [ -n "${3:-}" ]; then
        sr_run ip route replace default via "$3" dev "$1"
    fi
    published "$1" "${2%%/*}"
    sr_log "$1 has $2${3:+, gateway $3}"
}

# The first interface that is up is the one that later scripts hear of.
published() {
    [ -z "$(sr_get NET_INTERFACE '')" ] || return 0
    sr_put NET_INTERFACE "$1"
    sr_put NET_ADDRESS "$2"
}

# The client stays: a lease that nobody renews is somebody else's tomorrow.
use_dhcp() {
    SR_NET_INTERFACE=$1
    export SR_NET_INTERFACE
    _dhcp_tries=$(((SR_NETWORK_DHCP_TIMEOUT + 2) / 3))
    SR_SURVIVE_LIMIT=$((SR_NETWORK_DHCP_TIMEOUT + 10))
    sr_hint "does a DHCP server answer on $1's network? the log has what was heard"
    sr_survive udhcpc -i "$1" -n -t "$_dhcp_tries" -T 3 -V srbuild -x "hostname:$(hostname)" \
        -p "/run/udhcpc.$1.pid" -s "$SR_HOME/udhcpc"
    _dhcp_address=$(sr_get "DHCP_ADDRESS" '')
    [ -n "$_dhcp_address" ] || sr_fail "the DHCP server's answer on $1 was not usable"
    published "$1" "${_dhcp_address%%/*}"
    sr_log "$1 has $_dhcp_address by DHCP"
}

# One ip= parameter.
use_parameter() {
    sr_ip_parse "$1" || sr_fail "ip=$1: $ip_error" "see the kernel's Documentation/admin-guide/nfs/nfsroot.rst"
    case $ip_method in
        off) return 0 ;;
    esac
    if [ -n "$ip_device" ]; then
        chosen=$ip_device
    else
        choose_interface
    fi
    if [ -n "$ip_mac" ]; then
        has_card "$chosen" && sr_run ip link set "$chosen" address "$ip_mac"
    fi
    link_up "$chosen" "$ip_mtu"
    for _use_server in $ip_dns; do
        printf 'nameserver %s\n' "$_use_server" >>"$SR_ROOT/etc/resolv.conf"
    done
    if [ "$ip_method" = dhcp ]; then
        use_dhcp "$chosen"
    else
        use_static "$chosen" "$ip_address/$ip_prefix" "${ip_gateway:-$SR_NETWORK_GATEWAY}"
    fi
}

reject_others
sr_run ip link set lo up
for server in $SR_NETWORK_NAMESERVER; do
    printf 'nameserver %s\n' "$server" >>"$SR_ROOT/etc/resolv.conf"
done
address=$(sr_get NODE_ADDRESS "$SR_NETWORK_ADDRESS")
if [ -n "$SR_NETWORK_IP" ]; then
    set -f
    for parameter in $SR_NETWORK_IP; do
        use_parameter "$parameter"
    done
    set +f
else
    choose_interface
    link_up "$chosen"
    if [ -n "$address" ]; then
        use_static "$chosen" "$address" "$SR_NETWORK_GATEWAY"
    else
        use_dhcp "$chosen"
    fi
fi
