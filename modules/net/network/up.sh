#!/bin/sh
# Bring up the network: links first (names, bonds, VLANs, bridges), then addresses, all begun
# before any is waited for, then routes. What to do comes from ip= on the kernel's command line, or
# else from the node's address and the option `ip` together, or else is DHCP.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=hooks/lib/addresses.sh
. "$SR_LIB/addresses.sh"

wishes='' # METHOD:IF,IF… of all that was begun, in order

reject_others() {
    if sr_cmdline team >/dev/null; then
        sr_fail "team= needs a daemon that distributions no longer ship" \
            "use bond=, whose modes cover the same: team's runner activebackup is mode=active-backup, lacp is 802.3ad"
    fi
}

# dracut's bare words stand for whole sentences.
add_bare_words() {
    if sr_cmdline bond >/dev/null && [ -z "$(sr_cmdline bond)" ]; then
        SR_NETWORK_BOND=bond0:eth0,eth1:mode=balance-rr
    fi
    if sr_cmdline bridge >/dev/null && [ -z "$(sr_cmdline bridge)" ]; then
        SR_NETWORK_BRIDGE=br0:eth0
    fi
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

# Print the cards that may lead to the storage when no interface was named, one a line: the
# node's own, of those the one that booted, or else that one, or else all.
candidates() {
    _cand_boot=
    if [ -n "$SR_NETWORK_BOOTIF" ] && [ "$SR_NETWORK_USE_BOOTIF" = 1 ]; then
        _cand_boot=$(bootif_mac) || exit 1
    fi
    if _cand_own=$(sr_cards_by_mac "$(sr_get NODE_MACS -)"); then
        if [ -n "$_cand_boot" ]; then
            for _cand_card in $(sr_cards_by_mac "$_cand_boot"); do
                case "
$_cand_own
" in
                    *"
$_cand_card
"*) _cand_own=$_cand_card ;;
                esac
            done
        fi
        printf '%s\n' "$_cand_own"
    elif [ -n "$_cand_boot" ]; then
        sr_cards_by_mac "$_cand_boot" ||
            sr_fail "no card has the MAC address of BOOTIF ($_cand_boot)" \
                "the machine's cards: $(sr_cards_shown); is the driver in the image?"
    else
        sr_cards
    fi
}

any_card() {
    for _any_path in "$SR_NET"/*/device; do
        [ ! -e "$_any_path" ] || return 0
    done
    return 1
}

# Set $chosen to the interfaces to use (commas between), brought up: the one that is named, or
# the candidates, each replaced by the bond or bridge that it is a part of.
choose() {
    if [ -n "${1:-$SR_NETWORK_INTERFACE}" ]; then
        sr_need_nic "${1:-$SR_NETWORK_INTERFACE}"
        sr_top "$nic"
        chosen=$nic
    else
        sr_wait_for "$SR_NETWORK_NIC_TIMEOUT" "a network card" any_card ||
            sr_fail "this machine has no network card" "is its driver in the image?"
        _choose_cards=$(candidates) || exit 1
        chosen=
        for _choose_card in $_choose_cards; do
            sr_top "$_choose_card"
            case ,$chosen, in
                *",$nic,"*) ;;
                *) chosen=${chosen:+$chosen,}$nic ;;
            esac
        done
    fi
    sr_apart "$chosen"
    for _choose_card in $apart; do
        [ -z "$ip_mac" ] || sr_ip link set "$_choose_card" address "$ip_mac"
        [ -z "${ip_mtu:-$SR_NETWORK_MTU}" ] || sr_set_mtu "$_choose_card" "${ip_mtu:-$SR_NETWORK_MTU}"
        sr_ip link set "$_choose_card" up
    done
}

# Narrow $chosen to the first of the interfaces that has a link: a static address is one's.
choose_link() {
    case $chosen in
        *,*) ;;
        *) return 0 ;;
    esac
    sr_wait_for "$SR_NETWORK_CARRIER_TIMEOUT" "a network card with a link" link_among ||
        sr_fail "no network card has a link ($chosen)" "is a cable plugged in, is the switch's port up?"
    chosen=$linked
}

link_among() {
    sr_apart "$chosen"
    for linked in $apart; do
        ! sr_has_link "$linked" || return 0
    done
    return 1
}

# Print the option `gateway` where it is meant: by a static address of its version of IP that came
# without one, on the interface that has or gets the default route.
gateway_of() {
    if [ -z "$SR_NETWORK_GATEWAY" ] || ! sr_same_family "$1" "$SR_NETWORK_GATEWAY"; then
        return 0
    fi
    _gateway_family=4
    sr_check_ip4 "${1%%/*}" || _gateway_family=6
    sr_owns_default "$chosen" "$_gateway_family" || return 0
    printf '%s\n' "$SR_NETWORK_GATEWAY"
}

# begin METHOD [ADDRESS/PREFIX [GATEWAY]]: on $chosen.
begin() {
    [ "$1" != static ] || choose_link
    sr_apart "$chosen"
    for _begin_nic in $apart; do
        printf '%s\n' "$_begin_nic" >>"$SR_NET_STATE/used"
        case $1 in
            static) sr_static "$_begin_nic" "$2" "${3:-$(gateway_of "$2")}" ;;
            dhcp | single-dhcp) sr_dhcp_begin "$_begin_nic" ;;
            auto6) sr_v6_on "$_begin_nic" ;;
            dhcp6 | either6)
                sr_v6_on "$_begin_nic"
                sr_dhcp6_begin "$_begin_nic" "$1"
                ;;
        esac
    done
    [ "$1" = none ] || wishes="$wishes $1:$chosen"
}

# --- what was asked for -----------------------------------------------------------------------

# Is the node's own address, $main, already in one of the forms, or one of these for its interface?
covered() {
    set -f
    for _cover_form in $SR_NETWORK_IP; do
        sr_ip_parse "$_cover_form" || continue
        if [ "$ip_address" = "${main%%/*}" ] ||
            { [ -n "$ip_device" ] && [ "$ip_device" = "$SR_NETWORK_INTERFACE" ]; }; then
            set +f
            return 0
        fi
    done
    set +f
    return 1
}

use_main() {
    ip_mac='' ip_mtu=''
    choose ''
    if [ -n "$main" ]; then
        begin static "$main"
    else
        begin dhcp
    fi
}

# One ip= form.
use_form() {
    sr_ip_parse "$1" || sr_fail "ip=$1: $ip_error" "see docs/network.md, or the kernel's nfsroot.rst"
    case $ip_method in
        off) return 0 ;;
        ibft)
            use_ibft
            return
            ;;
    esac
    choose "$ip_device"
    for _use_server in $ip_dns; do
        sr_nameserver "$_use_server"
    done
    case $ip_method in
        static) begin static "$ip_address/$ip_prefix" "$ip_gateway" ;;
        *) begin "$ip_method" ;;
    esac
}

ibft_value() {
    [ -r "$ibft/$1" ] || return 1
    read -r _ibft_value <"$ibft/$1" && [ -n "$_ibft_value" ] && printf '%s\n' "$_ibft_value"
}

# The firmware's own boot interfaces (Documentation/ABI/testing/sysfs-ibft). Its table is only as
# good as who wrote it: every value is checked.
use_ibft() {
    [ -d "$SR_SYS/firmware/ibft" ] || sr_run modprobe -q iscsi_ibft || :
    _ibft_done=0
    for ibft in "$SR_SYS"/firmware/ibft/ethernet*; do
        _ibft_mac=$(ibft_value mac | tr 'A-F' 'a-f') || continue
        sr_check_mac "$_ibft_mac" || continue
        sr_find_nic "$(printf '%s' "$_ibft_mac" | tr : -)" || continue
        _ibft_vlan=$(ibft_value vlan) || _ibft_vlan=0
        if [ "$_ibft_vlan" != 0 ]; then
            sr_make_vlan "$nic.$_ibft_vlan:$nic"
            nic=$vlan_name
        fi
        ip_mac='' ip_mtu=''
        choose "$nic"
        use_ibft_address
        _ibft_done=1
    done
    [ "$_ibft_done" = 1 ] || sr_fail "the firmware names no boot interface that this machine has (iBFT)" \
        "is iSCSI boot on in the firmware, and the kmod iscsi_ibft in the image?"
}

use_ibft_address() {
    for _ibft_dns in primary-dns secondary-dns; do
        _ibft_dns=$(ibft_value "$_ibft_dns") || continue
        sr_check_ip "$_ibft_dns" || continue
        case $_ibft_dns in
            0.0.0.0 | ::) ;;
            *) sr_nameserver "$_ibft_dns" ;;
        esac
    done
    _ibft_dhcp=$(ibft_value dhcp) || _ibft_dhcp=0.0.0.0
    _ibft_address=$(ibft_value ip-addr) || _ibft_address=
    if [ "$_ibft_dhcp" != 0.0.0.0 ] || ! sr_check_ip "$_ibft_address"; then
        begin dhcp
        return
    fi
    _ibft_prefix=$(sr_mask_to_prefix "$(ibft_value subnet-mask || ibft_value prefix-len)") ||
        sr_fail "the firmware's boot interface has no netmask (${ibft##*/} of the iBFT)"
    _ibft_gateway=$(ibft_value gateway) && sr_check_ip "$_ibft_gateway" || _ibft_gateway=
    case $_ibft_gateway in
        0.0.0.0 | ::) _ibft_gateway= ;;
    esac
    begin static "$_ibft_address/$_ibft_prefix" "$_ibft_gateway"
}

# --- the end ----------------------------------------------------------------------------------

# A named interface must be ready; of several others one must, and the rest has $SR_NETWORK_REST_TIMEOUT
# seconds more: a path that is down is no reason not to boot on the other.
wait_for_all() {
    for _wait_wish in $wishes; do
        set -- "$@" "$_wait_wish"
    done
    [ "$#" -gt 0 ] || return 0
    # Before the dearest timeouts are over nothing is lost.
    _wait_all=$((SR_NETWORK_CARRIER_TIMEOUT + SR_NETWORK_DHCP_TIMEOUT * SR_NETWORK_DHCP_RETRY))
    sr_hint "are the cables in, is the switch's port up, does a server answer there? the logs are in $SR_RUN/udhcpc.*"
    if [ -n "$SR_NETWORK_INTERFACE" ]; then
        sr_wait_for "$_wait_all" "$1" sr_any_ready "$1" || sr_fail "no network: $(sr_why_not "$1")"
    else
        sr_wait_for "$_wait_all" "the network ($*)" sr_one_ready "$@" ||
            sr_fail "no network: $(for _wait_wish; do sr_why_not "$_wait_wish"; done)"
    fi
    sr_wait_for "$SR_NETWORK_REST_TIMEOUT" "the other interfaces" sr_all_ready "$@" || :
    for _wait_wish; do
        if sr_any_ready "$_wait_wish"; then
            settled "$_wait_wish"
        else
            sr_warn "going on without it: $(sr_why_not "$_wait_wish")"
        fi
    done
}

# settled WISH: $ready has $found. The first of all is the one that later scripts hear of.
settled() {
    sr_log "$ready has $found (${1%%:*})"
    if [ -z "$(sr_get NET_INTERFACE '')" ]; then
        sr_put NET_INTERFACE "$ready"
        sr_put NET_ADDRESS "$found"
    fi
    [ "${1%%:*}" = single-dhcp ] || return 0
    sr_apart "${1#*:}"
    for _settled_other in $apart; do
        [ "$_settled_other" = "$ready" ] || sr_dhcp_end "$_settled_other"
    done
}

# A node that nothing but a kernel parameter tells may be another machine, too, which was told the same:
# does one answer for its address (RFC 5227, 2.1.1)? Two that ask at once both hear of each other.
be_the_only_one() {
    if [ -z "$(sr_get NODE_UNPROVEN '')" ] || ! sr_check_ip4 "${main%%/*}"; then
        return 0
    fi
    _only_nic=$(sr_get NET_INTERFACE '') _only_address=${main%%/*}
    [ "$(sr_get NET_ADDRESS '')" = "$_only_address" ] || return 0
    _only_said=$(sr_run -t 8 arping -D -c 3 -w 3 -I "$_only_nic" "$_only_address" 2>&1) || :
    case $_only_said in
        *[Rr]eply*)
            sr_ip addr del "$main" dev "$_only_nic"
            _only_mac=$(printf '%s\n' "$_only_said" | sed -n 's/.*\[\([0-9A-Fa-f:]\{17\}\)\].*/\1/p' | head -n 1)
            sr_fail "$_only_address is another machine's already ($_only_mac)" \
                "was rd.srb.node=$(sr_get NODE_NAME) given to two? a spare is one machine's"
            ;;
        *Sent*[Pp]rob*) sr_log "no other machine has $_only_address" ;;
        *) sr_warn "whether another machine has $_only_address could not be asked: $_only_said" ;;
    esac
}

reject_others
add_bare_words
[ -d "$SR_NET_STATE" ] || mkdir -p "$SR_NET_STATE"
rm -f "$SR_NET_STATE/used" "$SR_NET_STATE/default4" "$SR_NET_STATE/default6"
sr_ip link set lo up
for server in $SR_NETWORK_NAMESERVER; do
    sr_nameserver "$server"
done
sr_make_links
if [ -n "$SR_NETWORK_INTERFACE" ]; then
    # Told otherwise: the default route is this one's, whoever answers first.
    sr_need_nic "$SR_NETWORK_INTERFACE"
    sr_top "$nic"
    for family in 4 6; do
        printf '%s\n' "$nic" >"$SR_NET_STATE/default$family"
    done
fi
main=$(sr_get NODE_ADDRESS "$SR_NETWORK_ADDRESS")
if [ -z "$SR_NETWORK_IP" ]; then
    use_main
elif ! sr_cmdline ip >/dev/null && [ -n "$main" ] && ! covered; then
    use_main
fi
set -f
for parameter in $SR_NETWORK_IP; do
    set +f
    use_form "$parameter"
done
set +f
wait_for_all
be_the_only_one
for parameter in $SR_NETWORK_ROUTE; do
    sr_add_route "$parameter"
done
