# shellcheck shell=sh
# Addresses of interfaces. Each is begun and then waited for together with the others, so that a
# card without a cable or a server that sleeps holds up nobody else. What is known stands in
# $SR_NET_STATE: static.IF, dhcp.IF, dhcp6.IF (the address), default4 and default6
# (who has the default route),
# used (the interfaces, one a line).
# shellcheck source=hooks/lib/links.sh
. "$SR_LIB/links.sh"
# shellcheck source=hooks/lib/dhcp.sh
. "$SR_LIB/dhcp.sh"

# --- IPv6, from the kernel --------------------------------------------------------------------

# sr_v6 IF SCOPE: set $v6_state (none, tentative, failed, ready) and $v6_address from the kernel's
# list (addrconf.c, if6_seq_show). SCOPE: 00 is global, 20 the link's own.
sr_v6() {
    v6_state=none v6_address=
    while read -r _v6_hex _ _ _v6_scope _v6_flags _v6_name; do
        [ "$_v6_name $_v6_scope" = "$1 $2" ] || continue
        case $_v6_flags in
            ?[89abcdef]) # IFA_F_DADFAILED: another machine has it
                v6_state=failed
                return
                ;;
            [4567cdef]?) v6_state=tentative ;;
            *)
                [ "$v6_state" = tentative ] || v6_state=ready
                v6_address=$(printf '%s' "$_v6_hex" | sed 's/..../&:/g; s/:$//')
                ;;
        esac
    done <"$SR_PROC/net/if_inet6"
} 2>/dev/null

# sr_v6_on IF: the interface has IPv6, takes routers' advertisements and makes addresses of them.
sr_v6_on() {
    _v6_conf=$SR_PROC/sys/net/ipv6/conf/$1
    [ -d "$_v6_conf" ] || sr_fail "the kernel has no IPv6 on $1" "drop ipv6.disable= from its parameters"
    printf '0\n' >"$_v6_conf/disable_ipv6"
    printf '2\n' >"$_v6_conf/accept_ra"
    printf '1\n' >"$_v6_conf/autoconf"
}

# --- static -----------------------------------------------------------------------------------

# sr_gateway IF ADDRESS: the default route. A gateway outside of the interface's own network (a
# host address, /32) gets a route of its own first.
sr_gateway() {
    sr_default_route "$1" "$2" 2>/dev/null && return
    _gateway_length=32
    sr_check_ip4 "$2" || _gateway_length=128
    sr_hint "is the gateway $2 on the network of $1?"
    sr_ip route replace "$2/$_gateway_length" dev "$1"
    sr_default_route "$1" "$2"
}

# sr_static IF ADDRESS/PREFIX [GATEWAY]
sr_static() {
    sr_ip addr replace "$2" dev "$1"
    [ -z "${3:-}" ] || sr_gateway "$1" "$3"
    printf '%s\n' "${2%%/*}" >"$SR_NET_STATE/static.$1"
    sr_log "$1 has $2${3:+, gateway $3}"
}

# sr_add_route TEXT
sr_add_route() {
    sr_route_parse "$1" || sr_fail "rd.route=$1: $sr_reason"
    set -- replace "$route_to"
    [ -z "$route_via" ] || set -- "$@" via "$route_via"
    if [ -n "$route_dev" ]; then
        sr_need_nic "$route_dev"
        sr_top "$nic"
        set -- "$@" dev "$nic"
    fi
    _route_words=$*
    sr_wait_for "$SR_NETWORK_ROUTE_TIMEOUT" "a way for the route to $route_to" _sr_route_set "$@" ||
        sr_fail "the route to $route_to could not be set (ip route $_route_words)" \
            "is the gateway on the network of an interface that has an address?"
}

_sr_route_set() {
    sr_ip route "$@" 2>/dev/null
}

# --- waiting ----------------------------------------------------------------------------------

# sr_address_of METHOD IF: set $found to the address when it is ready for use; status 1 until then.
sr_address_of() {
    found=
    case $1 in
        static)
            sr_has_link "$2" || return 1
            sr_v6 "$2" 00
            case $v6_state in
                tentative) return 1 ;;
                failed) sr_fail "another machine has the IPv6 address of $2 already" \
                    "correct the address; ip -6 neigh on another machine shows who has it" ;;
            esac
            read -r found <"$SR_NET_STATE/static.$2"
            ;;
        dhcp | single-dhcp) _sr_given dhcp "$2" ;;
        dhcp6) _sr_by_dhcp6 "$2" ;;
        auto6) _sr_by_kernel "$2" 00 ;;
        link6) _sr_by_kernel "$2" 20 ;;
        either6) _sr_by_kernel "$2" 00 || _sr_by_dhcp6 "$2" ;;
    esac
}

_sr_given() {
    [ -s "$SR_NET_STATE/$1.$2" ] || return 1
    read -r found <"$SR_NET_STATE/$1.$2"
    found=${found%%/*}
}

_sr_by_dhcp6() {
    sr_v6 "$1" 00
    [ "$v6_state" != tentative ] && _sr_given dhcp6 "$1"
}

_sr_by_kernel() {
    sr_v6 "$1" "$2"
    found=$v6_address
    [ "$v6_state" = ready ]
}

# sr_any_ready METHOD:IF,IF…: set $ready to the first of the interfaces that is, and $found.
sr_any_ready() {
    sr_apart "${1#*:}"
    for ready in $apart; do
        sr_address_of "${1%%:*}" "$ready" && return
    done
    return 1
}

# One of all the wishes.
sr_one_ready() {
    for _one_wish; do
        sr_any_ready "$_one_wish" && return
    done
    return 1
}

# Every one of them.
sr_all_ready() {
    for _all_wish; do
        sr_any_ready "$_all_wish" || return
    done
}

# sr_why_not METHOD:IF,IF…: print what is missing, for a person.
sr_why_not() {
    sr_apart "${1#*:}"
    for _why_nic in $apart; do
        if ! sr_has_link "$_why_nic"; then
            printf '%s has no link; ' "$_why_nic"
        else
            printf '%s has no answer (%s); ' "$_why_nic" "${1%%:*}"
        fi
    done
}

# --- without an address -----------------------------------------------------------------------

# sr_raise MTU NIC…: bring up interfaces over which storage is reached without any address, each
# with that MTU (as it is, if that is empty). The system above is kept from them like from all
# others. Sets $raised to their names; what does not exist is named and left out, unless nothing
# would be left.
sr_raise() {
    _raise_mtu=$1
    shift
    raised=
    for _raise_wish; do
        if ! sr_find_nic "$_raise_wish"; then
            sr_warn "there is no interface $_raise_wish; going on without it"
            continue
        fi
        # A bond or bridge takes what comes in on its parts.
        sr_top "$nic"
        case " $raised " in
            *" $nic "*) continue ;;
        esac
        [ -z "$_raise_mtu" ] || sr_set_mtu "$nic" "$_raise_mtu"
        sr_ip link set "$nic" up
        mkdir -p "$SR_NET_STATE"
        printf '%s\n' "$nic" >>"$SR_NET_STATE/used"
        raised="${raised:+$raised }$nic"
    done
    [ -n "$raised" ] || sr_fail "none of the interfaces to the storage exists: $*" \
        "the machine's cards: $(sr_cards_shown); are the names right, are the drivers in the image?"
}

# Print those of the interfaces NIC… that have no link, one a line.
sr_linkless() {
    for _linkless_nic; do
        sr_has_link "$_linkless_nic" || printf '%s\n' "$_linkless_nic"
    done
}
