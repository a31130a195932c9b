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

configure() {
    if ! sr_check_interface "${interface:-}" || ! sr_check_ip4 "${ip:-}"; then
        sr_warn "the DHCP server's address is not well-formed: not used"
        return 0
    fi
    _conf_prefix=$(sr_mask_to_prefix "${subnet:-}") || _conf_prefix=24
    _conf_new=$ip/$_conf_prefix
    _conf_old=$(sr_get DHCP_ADDRESS '')
    sr_run ip addr replace "$_conf_new" dev "$interface"
    if [ -n "$_conf_old" ] && [ "$_conf_old" != "$_conf_new" ]; then
        sr_warn "the address changed from $_conf_old to $_conf_new"
        sr_run ip addr del "$_conf_old" dev "$interface" || :
    fi
    if _conf_router=$(first_valid "${router:-}" sr_check_ip4); then
        sr_run ip route replace default via "$_conf_router" dev "$interface" ||
            sr_warn "the gateway $_conf_router could not be used"
    fi
    set -f
    for _conf_server in ${dns:-}; do
        sr_check_ip4 "$_conf_server" || continue
        grep -Fqx "nameserver $_conf_server" "$SR_ROOT/etc/resolv.conf" 2>/dev/null ||
            printf 'nameserver %s\n' "$_conf_server" >>"$SR_ROOT/etc/resolv.conf"
    done
    set +f
    sr_put DHCP_ADDRESS "$_conf_new"
}

case ${1:-} in
    bound | renew) configure ;;
    nak) sr_warn "the DHCP server refused the request" ;;
    # The lease is lost, or the client starts. The address stays: the root may hang on it.
    deconfig | leasefail) ;;
esac
