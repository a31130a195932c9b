# shellcheck shell=sh
# DHCP on several interfaces at a time. Each has a worker in the background that waits for its
# link and asks, with longer and longer pauses; the client that got a lease stays to renew it.
# What is done with an answer: hooks/udhcpc.sh, hooks/dhclient6.sh.

SR_NET_STATE=$SR_RUN/net

# sr_owns_default IF 4|6: is the default route IF's? The first that asks has it, unless one was
# named. Without clobbering, so that of two answers at a time one is the first.
sr_owns_default() {
    (
        set -C
        printf '%s\n' "$1" >"$SR_NET_STATE/default$2"
    ) 2>/dev/null && return
    read -r _owns_who <"$SR_NET_STATE/default$2" && [ "$_owns_who" = "$1" ]
}

# sr_default_route IF GATEWAY: those of the others are there for the day when the first is gone.
sr_default_route() {
    _default_family=4
    sr_check_ip4 "$2" || _default_family=6
    _default_nic=$1
    set -- route replace default via "$2" dev "$1"
    sr_owns_default "$_default_nic" "$_default_family" || set -- "$@" metric 1024
    sr_ip "$@"
}

# sr_nameserver ADDRESS: add it to those that are asked, once.
sr_nameserver() {
    grep -Fqx "nameserver $1" "$SR_ROOT/etc/resolv.conf" 2>/dev/null ||
        printf 'nameserver %s\n' "$1" >>"$SR_ROOT/etc/resolv.conf"
}

# Print seconds that are doubled each time up to 32: a thousand nodes that start at once must not
# ask in step for ever.
_sr_longer() {
    if [ "$1" -lt 32 ]; then
        printf '%s\n' "$(($1 * 2))"
    else
        printf '%s\n' 32
    fi
}

_sr_dhcp_worker() {
    sr_wait_for "$SR_NETWORK_CARRIER_TIMEOUT" "a link on $1" sr_has_link "$1" || exit 1
    _worker_end=$(($(sr_uptime) + SR_NETWORK_DHCP_TIMEOUT * SR_NETWORK_DHCP_RETRY))
    _worker_pause=2
    export SR_SURVIVE_LOG="udhcpc.$1"
    until
        export SR_SURVIVE_LIMIT=$((_worker_pause * 4 + 30))
        sr_try_survive udhcpc -i "$1" -n -t 2 -T "$_worker_pause" -V srbuild \
            -x "hostname:$(hostname)" -O mtu -O staticroutes -O rootpath \
            -p "$SR_ROOT/run/udhcpc.$1.pid" -s "$SR_HOME/udhcpc"
    do
        [ "$(sr_uptime)" -lt "$_worker_end" ] || exit 1
        _worker_pause=$(_sr_longer "$_worker_pause")
        sr_log "no answer on $1 yet; asking again, up to $_worker_pause s"
    done
}

# sr_dhcp_begin IF: ask in the background; $SR_NET_STATE/dhcp.IF is there once an answer is in use.
sr_dhcp_begin() {
    ! sr_alive "$SR_ROOT/run/udhcpc.$1.pid" || return 0
    sr_survivor udhcpc
    _sr_dhcp_worker "$1" </dev/null >>"$SR_RUN/udhcpc.$1.worker.log" 2>&1 &
    printf '%s\n' "$!" >"$SR_NET_STATE/worker.$1"
}

# sr_dhcp_end IF: nobody asks on IF any more.
sr_dhcp_end() {
    sr_stop "$SR_NET_STATE/worker.$1" 2
    sr_stop "$SR_ROOT/run/udhcpc.$1.pid" 2
    rm -f "$SR_NET_STATE/worker.$1" "$SR_NET_STATE/dhcp.$1"
}

_sr_dhcp6_worker() {
    sr_wait_for "$SR_NETWORK_CARRIER_TIMEOUT" "a link on $1" sr_has_link "$1" || exit 1
    # Its messages come from the link's own address, once no other machine is known to have that.
    sr_wait_for "$SR_NETWORK_DAD_TIMEOUT" "the link-local address of $1" sr_address_of link6 "$1" || exit 1
    if [ "$2" = either6 ]; then
        ! sr_wait_for "$SR_NETWORK_AUTO6_TIMEOUT" "an advertised address on $1" sr_address_of auto6 "$1" ||
            exit 0
    fi
    export SR_SURVIVE_LIMIT=$((SR_NETWORK_DHCP_TIMEOUT * SR_NETWORK_DHCP_RETRY + 10))
    export SR_SURVIVE_LOG="dhclient.$1"
    : >"$SR_RUN/dhclient6.$1.conf"
    # dhclient gives its script no environment but what it is told to.
    sr_try_survive dhclient -6 -1 -e "PATH=$PATH" -e "SR_ROOT=$SR_ROOT" -e "SR_HOME=$SR_HOME" \
        -e "SR_NETWORK_PEERDNS=$SR_NETWORK_PEERDNS" -cf "$SR_RUN/dhclient6.$1.conf" \
        -lf "$SR_RUN/dhclient6.$1.leases" -pf "$SR_ROOT/run/dhclient6.$1.pid" \
        -sf "$SR_HOME/dhclient6" "$1"
}

# sr_dhcp6_begin IF METHOD: the same for DHCPv6. The client is the module dhcp6's.
sr_dhcp6_begin() {
    command -v dhclient >/dev/null || sr_fail "ip=$1:$2 asks for DHCPv6, and the image has no client for it" \
        "add the boot module dhcp6 to the image (--module dhcp6), or use auto6"
    ! sr_alive "$SR_ROOT/run/dhclient6.$1.pid" || return 0
    sr_survivor dhclient
    _sr_dhcp6_worker "$1" "$2" </dev/null >>"$SR_RUN/dhclient6.$1.worker.log" 2>&1 &
}
