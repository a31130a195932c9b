# shellcheck shell=sh
# Network interfaces: found by name or MAC address, renamed, joined into bonds, VLANs and bridges,
# brought up. Everything here can be done twice: `resume` runs the script again.
# shellcheck source=hooks/lib/networds.sh
. "$SR_LIB/networds.sh"

SR_NET=$SR_SYS/class/net

# sr_apart LIST: set $apart to the words of LIST (commas between) with spaces between.
sr_apart() {
    apart=
    _apart_rest=$1,
    while [ -n "$_apart_rest" ]; do
        apart="$apart${apart:+ }${_apart_rest%%,*}"
        _apart_rest=${_apart_rest#*,}
    done
}

# Print the names of the machine's network cards: what has a device behind it.
sr_cards() {
    for _card_path in "$SR_NET"/*/device; do
        [ -e "$_card_path" ] || continue
        _card_path=${_card_path%/device}
        printf '%s\n' "${_card_path##*/}"
    done
}

# The same on one line, for messages.
sr_cards_shown() {
    sr_cards | tr '\n' ' '
}

# Set $mac to the MAC address that the card $1 was made with, in lower case as the kernel writes it
# (mac_address_string in lib/vsprintf.c): a bond gives its slaves another.
_sr_mac_of() {
    mac=
    read -r mac <"$SR_NET/$1/bonding_slave/perm_hwaddr" || read -r mac <"$SR_NET/$1/address"
} 2>/dev/null

# Print the cards that have one of the MAC addresses $1 (lower case, commas between), one a line;
# status 1 when there is none.
sr_cards_by_mac() {
    _by_mac_status=1
    for _by_mac_card in $(sr_cards); do
        _sr_mac_of "$_by_mac_card" || continue
        case ,$1, in
            *",${mac:-none},"*)
                printf '%s\n' "$_by_mac_card"
                _by_mac_status=0
                ;;
        esac
    done
    return "$_by_mac_status"
}

# sr_has_nic NIC: set $nic to the interface's name, if it is there.
sr_has_nic() {
    nic=$1
    case $1 in
        ??-??-??-??-??-??)
            nic=$(sr_cards_by_mac "$(printf '%s' "$1" | tr 'A-F-' 'a-f:')") || return 1
            nic=${nic%%[!A-Za-z0-9._-]*}
            ;;
    esac
    [ -d "$SR_NET/$nic" ]
}

# sr_find_nic NIC: the same, waited for.
sr_find_nic() {
    sr_wait_for "$SR_NETWORK_NIC_TIMEOUT" "the interface $1" sr_has_nic "$1" && return
    nic=$1
    return 1
}

sr_need_nic() {
    sr_find_nic "$1" || sr_fail "there is no interface $1" \
        "the machine's cards: $(sr_cards_shown); is the name right, is the driver in the image?"
}

sr_has_link() {
    read -r _link_state <"$SR_NET/$1/carrier" && [ "$_link_state" = 1 ]
} 2>/dev/null

# sr_top NAME: set $nic to the bond or bridge that NAME is a part of, or to NAME.
sr_top() {
    nic=$1
    while [ -e "$SR_NET/$nic/master" ]; do
        nic=$(readlink "$SR_NET/$nic/master")
        nic=${nic##*/}
    done
}

# sr_set_mtu NAME MTU: what lies below is raised first, or its packets would not pass. A bond does
# that to its slaves by itself.
sr_set_mtu() (
    read -r _mtu_now <"$SR_NET/$1/mtu" 2>/dev/null || _mtu_now=0
    [ "$_mtu_now" != "$2" ] || return 0
    for _mtu_lower in "$SR_NET/$1"/lower_*; do
        [ -e "$_mtu_lower" ] || continue
        [ ! -d "$SR_NET/$1/bonding" ] || continue
        _mtu_lower=${_mtu_lower##*/lower_}
        read -r _mtu_below <"$SR_NET/$_mtu_lower/mtu" 2>/dev/null || continue
        [ "$_mtu_below" -ge "$2" ] || sr_set_mtu "$_mtu_lower" "$2"
    done
    sr_hint "can the card and the driver of $1 do packets of $2 bytes? see ip -d link show $1"
    sr_ip link set "$1" mtu "$2"
)

# --- names ------------------------------------------------------------------------------------

# sr_rename TEXT: NAME:MAC. Another card that has the name steps aside.
sr_rename() {
    sr_ifname_parse "$1" || sr_fail "ifname=$1: $sr_reason"
    sr_need_nic "$(printf '%s' "$ifname_mac" | tr : -)"
    [ "$nic" != "$ifname_name" ] || return 0
    sr_ip link set "$nic" down
    if [ -d "$SR_NET/$ifname_name" ]; then
        read -r _rename_index <"$SR_NET/$ifname_name/ifindex"
        sr_ip link set "$ifname_name" down
        sr_ip link set "$ifname_name" name "nic$_rename_index"
        sr_log "the card that was $ifname_name is nic$_rename_index now"
    fi
    sr_ip link set "$nic" name "$ifname_name"
    sr_log "$nic ($ifname_mac) is $ifname_name now"
}

# --- bonds ------------------------------------------------------------------------------------

# _sr_bond_set OPTION VALUE: in sysfs, as Documentation/networking/bonding.rst says.
_sr_bond_set() {
    printf '%s\n' "$2" 2>/dev/null >"$SR_NET/$bond_name/bonding/$1" ||
        sr_fail "the kernel refuses $1=$2 for the bond $bond_name" "dmesg | tail says why"
}

# The options that are set before there are slaves: the mode first, others may depend on it.
_sr_bond_tune() {
    for _tune_option in $bond_options; do
        case $_tune_option in
            mode=*) _sr_bond_set mode "${_tune_option#*=}" ;;
        esac
    done
    # Without any monitor a bond never notices that a link is gone.
    _sr_bond_has miimon || _sr_bond_has arp_interval || _sr_bond_set miimon 100
    for _tune_option in $bond_options; do
        case $_tune_option in
            mode=* | primary=*) ;;
            arp_ip_target=*)
                for _tune_target in $(printf '%s' "${_tune_option#*=}" | tr ';' ' '); do
                    _sr_bond_set arp_ip_target "+$_tune_target"
                done
                ;;
            *) _sr_bond_set "${_tune_option%%=*}" "${_tune_option#*=}" ;;
        esac
    done
}

# _sr_bond_take SLAVE: put it into the bond; status 1 when it does not exist.
_sr_bond_take() {
    sr_find_nic "$1" || return 1
    [ -e "$SR_NET/$nic/master" ] && return
    sr_ip link set "$nic" down
    sr_ip link set "$nic" master "$bond_name"
}

_sr_bond_primary() {
    for _primary_option in $bond_options; do
        case $_primary_option in
            primary=*)
                # A primary that is missing is no reason not to boot from the others.
                ! sr_has_nic "${_primary_option#*=}" || _sr_bond_set primary "$nic"
                ;;
        esac
    done
}

# sr_make_bond TEXT: one slave is enough to go on with; those that miss are named.
sr_make_bond() {
    sr_bond_parse "$1" || sr_fail "bond=$1: $sr_reason"
    # No bond0 of the kernel's own making.
    sr_hint "is the kmod bonding in the image?"
    [ -d "$SR_SYS/module/bonding" ] || sr_run modprobe bonding max_bonds=0
    if [ ! -d "$SR_NET/$bond_name" ]; then
        sr_ip link add name "$bond_name" type bond
        _sr_bond_tune
    fi
    _bond_taken=
    for _bond_slave in $bond_slaves; do
        if _sr_bond_take "$_bond_slave"; then
            _bond_taken="$_bond_taken $nic"
        else
            sr_warn "the bond $bond_name goes without $_bond_slave, which does not exist"
        fi
    done
    [ -n "$_bond_taken" ] || sr_fail "none of the bond $bond_name's interfaces exists: $bond_slaves" \
        "the machine's cards: $(sr_cards_shown)"
    _sr_bond_primary
    [ -z "$bond_mtu" ] || sr_set_mtu "$bond_name" "$bond_mtu"
    sr_ip link set "$bond_name" up
    sr_log "the bond $bond_name:$_bond_taken ($bond_options)"
}

# --- VLANs and bridges ------------------------------------------------------------------------

sr_make_vlan() {
    sr_vlan_parse "$1" || sr_fail "vlan=$1: $sr_reason"
    sr_need_nic "$vlan_lower"
    sr_hint "is the kmod 8021q in the image?"
    [ -d "$SR_SYS/module/8021q" ] || sr_run modprobe 8021q
    sr_ip link set "$nic" up
    [ -d "$SR_NET/$vlan_name" ] ||
        sr_ip link add link "$nic" name "$vlan_name" type vlan id "$vlan_id"
    sr_ip link set "$vlan_name" up
    sr_log "the VLAN $vlan_id on $nic is $vlan_name"
}

# Its MAC address is that of its first port and stays so, whatever joins it later: leases and
# neighbours depend on it.
sr_make_bridge() {
    sr_bridge_parse "$1" || sr_fail "bridge=$1: $sr_reason"
    sr_hint "is the kmod bridge in the image?"
    [ -d "$SR_SYS/module/bridge" ] || sr_run modprobe bridge
    [ -d "$SR_NET/$bridge_name" ] || sr_ip link add name "$bridge_name" type bridge
    _bridge_mac=
    for _bridge_port in $bridge_ports; do
        sr_need_nic "$_bridge_port"
        [ -e "$SR_NET/$nic/master" ] || sr_ip link set "$nic" master "$bridge_name"
        sr_ip link set "$nic" up
        if [ -z "$_bridge_mac" ]; then
            read -r _bridge_mac <"$SR_NET/$nic/address"
            sr_ip link set "$bridge_name" address "$_bridge_mac"
        fi
    done
    sr_ip link set "$bridge_name" up
    sr_log "the bridge $bridge_name: $bridge_ports"
}

# A VLAN may lie on a bridge that is made here, too: those come after the bridges.
_sr_vlans() {
    for _vlans_one in $SR_NETWORK_VLAN; do
        case " $SR_NETWORK_BRIDGE" in
            *" ${_vlans_one##*:}:"*) [ "$1" = late ] || continue ;;
            *) [ "$1" = early ] || continue ;;
        esac
        sr_make_vlan "$_vlans_one"
    done
}

# sr_make_links: what ifname, bond, vlan and bridge say, in the order in which they build on
# each other.
sr_make_links() {
    for _links_one in $SR_NETWORK_IFNAME; do
        sr_rename "$_links_one"
    done
    for _links_one in $SR_NETWORK_BOND; do
        sr_make_bond "$_links_one"
    done
    _sr_vlans early
    for _links_one in $SR_NETWORK_BRIDGE; do
        sr_make_bridge "$_links_one"
    done
    _sr_vlans late
}
