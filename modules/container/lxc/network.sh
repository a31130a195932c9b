#!/bin/sh
# The container's network. The card that leads to the root stays the bootstrap's, always: the
# container gets a card of its own on top of it (macvlan) or on a bridge (veth).
set -eu
# shellcheck source=modules/container/lxc/common.sh
. "${0%/*}/common.sh"

# choose_network: set $network, $network_link, $network_addresses and $network_gateway.
choose_network() {
    network=$SR_LXC_NETWORK network_link='' network_addresses='' network_gateway=''
    _network_root=$(sr_get NET_INTERFACE '')
    if [ "$network" = auto ]; then
        network=none
        [ -z "$SR_LXC_LINK$_network_root" ] || network=macvlan
    fi
    case $network in
        macvlan) choose_link ;;
        veth) choose_bridge ;;
        *) no_addresses "$SR_LXC_ADDRESSES" ;;
    esac
    case $network in
        macvlan | veth) choose_addresses ;;
    esac
}

# What it has no card for.
no_addresses() {
    [ -z "$1" ] || sr_fail "addresses are for a network of the container's own, not for network = $network" \
        "set network to macvlan or veth, or drop them"
    [ -z "${SR_VE_IP_ADDRESS:-}" ] || sr_warn "[ve] ip_address has no effect with network = $network"
}

choose_link() {
    network_link=${SR_LXC_LINK:-$_network_root}
    [ -n "$network_link" ] || sr_fail "network = macvlan needs a card of the bootstrap's, and it has none that is up" \
        "name one as link under [container], or set network = none"
    network_link=$(card "$network_link") || sr_fail "this machine has no interface $SR_LXC_LINK" "correct link under [container]"
    sr_modprobe macvlan
}

choose_bridge() {
    [ -n "$SR_LXC_BRIDGE" ] || sr_fail "network = veth needs a bridge" "name one as bridge under [container]; [network] bridge makes one"
    network_link=$SR_LXC_BRIDGE
    [ -d "$SR_SYS/class/net/$network_link/bridge" ] ||
        sr_fail "there is no bridge $network_link" "[network] bridge makes one: bridge = [\"$network_link:eth0\"]"
    sr_modprobe veth
}

# card NAME: the name of an interface that is called so, or has that MAC address (with dashes).
card() {
    if [ -d "$SR_SYS/class/net/$1" ]; then
        printf '%s\n' "$1"
        return 0
    fi
    for _card in "$SR_SYS/class/net"/*; do
        [ "$(tr ':' '-' <"$_card/address" 2>/dev/null)" = "$1" ] || continue
        printf '%s\n' "${_card##*/}"
        return 0
    done
    return 1
}

choose_addresses() {
    network_addresses=$SR_LXC_ADDRESSES
    if [ -z "$network_addresses" ]; then
        for _address in ${SR_VE_IP_ADDRESS:-}; do
            network_addresses="$network_addresses $(with_prefix "$_address")"
        done
    fi
    network_addresses=${network_addresses# }
    [ -n "$network_addresses" ] || return 0
    network_gateway=${SR_LXC_GATEWAY:-${SR_NETWORK_GATEWAY:-}}
}

# with_prefix ADDRESS: one without a prefix's length is in the network that the node is in.
with_prefix() {
    case $1 in
        */*) printf '%s\n' "$1" ;;
        *)
            _prefix=$(sr_get NET_ADDRESS '')
            case $_prefix in
                */*) printf '%s/%s\n' "$1" "${_prefix#*/}" ;;
                *) sr_fail "[ve] ip_address $1 says no prefix length" "write it as $1/24" ;;
            esac
            ;;
    esac
}

# A locally administered address (IEEE 802, second bit of the first byte) of what names the node.
made_address() {
    printf '%s %s %s' "$(sr_get CLUSTER_NAME '')" "$(sr_get NODE_NAME '')" "$(sr_get NODE_MACS '')" | md5sum |
        sed 's/^\(..\)\(..\)\(..\)\(..\).*/02:53:\1:\2:\3:\4/'
}

network_config() {
    case $network in
        host)
            printf 'lxc.net.0.type = none\n'
            return 0
            ;;
        none)
            printf 'lxc.net.0.type = empty\n'
            return 0
            ;;
        veth) printf '%s\n' "lxc.net.0.type = veth" "lxc.net.0.veth.pair = $veth" ;;
        macvlan) printf '%s\n' "lxc.net.0.type = macvlan" "lxc.net.0.macvlan.mode = bridge" ;;
    esac
    printf '%s\n' "lxc.net.0.link = $network_link" "lxc.net.0.name = eth0" \
        "lxc.net.0.hwaddr = ${SR_LXC_HWADDR:-$(made_address)}"
    # Without addresses of ours the container's own system sets the card up.
    [ -n "$network_addresses" ] || return 0
    printf 'lxc.net.0.flags = up\n'
    for _address in $network_addresses; do
        printf 'lxc.net.0.%s.address = %s\n' "$(family "$_address")" "$_address"
    done
    [ -z "$network_gateway" ] ||
        printf 'lxc.net.0.%s.gateway = %s\n' "$(family "$network_gateway")" "$network_gateway"
}

family() {
    case $1 in
        *:*) echo ipv6 ;;
        *) echo ipv4 ;;
    esac
}
