# shellcheck shell=sh
# Where a server is: host and port taken apart, names made addresses. busybox is linked statically,
# so its mount cannot ask the name service; its nslookup speaks DNS itself.

# sr_endpoint TEXT: set endpoint_host, of an IPv6 address without its brackets, and endpoint_port,
# empty when there is none; status 1 when the port is none.
sr_endpoint() {
    endpoint_port=
    case $1 in
        '['*']:'*) endpoint_host=${1%%']:'*} endpoint_port=${1##*']:'} ;;
        '['*) endpoint_host=${1%']'} ;;
        *:*) endpoint_host=${1%%:*} endpoint_port=${1#*:} ;;
        *) endpoint_host=$1 ;;
    esac
    endpoint_host=${endpoint_host#'['}
    [ -z "$endpoint_port" ] || sr_check_port "$endpoint_port"
}

# sr_bracket ADDRESS: print it as it stands before a colon.
sr_bracket() {
    case $1 in
        *:*) printf '[%s]\n' "$1" ;;
        *) printf '%s\n' "$1" ;;
    esac
}

# sr_addresses HOST: print HOST's addresses, one a line: itself if it is one, else those that
# /etc/hosts has, else those that the name servers of /etc/resolv.conf say within 10 seconds.
# Status 1 when there are none.
sr_addresses() {
    if sr_check_ip "$1"; then
        printf '%s\n' "$1"
        return 0
    fi
    sr_check_host "$1" || return 1
    _addresses_found=$(_sr_hosts_file "$1" | _sr_only_addresses)
    if [ -z "$_addresses_found" ] && [ -s "$SR_ROOT/etc/resolv.conf" ]; then
        _addresses_found=$(
            sr_run -t 10 nslookup "$1" 2>/dev/null | _sr_nslookup_answer | _sr_only_addresses
        )
    fi
    [ -n "$_addresses_found" ] && printf '%s\n' "$_addresses_found"
}

_sr_hosts_file() {
    [ -f "$SR_ROOT/etc/hosts" ] || return 0
    awk -v name="$1" '
        { sub(/#.*/, "") }
        { for (i = 2; i <= NF; i++) if (tolower($i) == tolower(name)) print $1 }' "$SR_ROOT/etc/hosts"
}

# The first Address line is the name server's own; a blank line follows it.
_sr_nslookup_answer() {
    awk '
        /^[[:space:]]*$/ { answer = 1 }
        answer && /^Address/ { sub(/^Address[ 0-9]*:[[:space:]]*/, ""); print $1 }'
}

# What comes from the network is believed only where it is an address. A loop's pipe: at most 8.
_sr_only_addresses() {
    head -n 8 | while IFS= read -r _only_line; do
        ! sr_check_ip "$_only_line" || printf '%s\n' "$_only_line"
    done
}
