#!/bin/sh
# Where the iSCSI targets are: the words of the kernel's command line, and the firmware's table.
# What is found is added to $SR_RUN/iscsi/pairs, one line `TARGET HOST:PORT` a way to a target.
set -eu

# sr_iscsi_pair TARGET PORTAL: add a way; once, and with its port.
sr_iscsi_pair() {
    _pair_portal=$2
    case $2 in
        '['*']:'* | [!'[']*:*) ;;
        *) _pair_portal=$2:3260 ;;
    esac
    grep -Fqx "$1 $_pair_portal" "$SR_RUN/iscsi/pairs" || printf '%s\n' "$1 $_pair_portal" >>"$SR_RUN/iscsi/pairs"
}

# sr_iscsi_netroot TEXT: take apart iscsi:SERVER:[PROTOCOL]:[PORT]:[LUN]:TARGET (RFC 4173), and
# set $netroot_lun.
sr_iscsi_netroot() {
    _netroot_rest=${1#iscsi:}
    if [ "$_netroot_rest" = "$1" ]; then
        sr_fail "netroot=$1: this image attaches its root over iSCSI" \
            "write netroot=iscsi:SERVER:PROTOCOL:PORT:LUN:TARGET, or drop it"
    fi
    case $_netroot_rest in
        *@*)
            sr_fail "netroot= holds a user or a secret" \
                "everybody can read the kernel's command line: put chap_user and chap_secret into the cluster file"
            ;;
        '['*']:'*)
            _netroot_host=${_netroot_rest%%']:'*}]
            _netroot_rest=${_netroot_rest#*']:'}
            ;;
        *)
            _netroot_host=${_netroot_rest%%:*}
            _netroot_rest=${_netroot_rest#*:}
            ;;
    esac
    _netroot_protocol=${_netroot_rest%%:*}
    _netroot_rest=${_netroot_rest#*:}
    _netroot_port=${_netroot_rest%%:*}
    _netroot_rest=${_netroot_rest#*:}
    netroot_lun=${_netroot_rest%%:*}
    _netroot_target=${_netroot_rest#*:}
    _netroot_portal=$_netroot_host:${_netroot_port:-3260}
    case $_netroot_protocol in
        '' | 6) ;;
        *) sr_fail "netroot=$1: the protocol must be 6 (TCP) or nothing" ;;
    esac
    if ! sr_check_endpoint "$_netroot_portal" || ! sr_check_iqn "$_netroot_target"; then
        sr_fail "netroot=$1 is not iscsi:SERVER:[PROTOCOL]:[PORT]:[LUN]:TARGET" "see RFC 4173, section 5"
    fi
    if [ -n "$netroot_lun" ] && ! sr_check_seconds "$netroot_lun"; then
        sr_fail "netroot=$1: $netroot_lun is no unit number (at most 16383, in decimal)"
    fi
    sr_iscsi_pair "$_netroot_target" "$_netroot_portal"
}

# sr_iscsi_rootsource TEXT: take apart iscsi://HOST[:PORT]/[INITIATOR], the form of OSR, and set
# $source_portal and $source_initiator, each empty when it is not said. Status 1 when TEXT is
# about something else.
sr_iscsi_rootsource() {
    _source_rest=${1#iscsi://}
    [ "$_source_rest" != "$1" ] || return 1
    source_portal=${_source_rest%%/*}
    source_initiator=
    case $_source_rest in
        */*) source_initiator=${_source_rest#*/} ;;
    esac
    if { [ -n "$source_portal" ] && ! sr_check_endpoint "$source_portal"; } ||
        { [ -n "$source_initiator" ] && ! sr_check_iqn "$source_initiator"; }; then
        sr_fail "rootsource=$1 is not iscsi://HOST[:PORT]/[INITIATOR]" \
            "INITIATOR is the node's own name, iqn.YYYY-MM.DOMAIN:NAME"
    fi
}

# --- the firmware's table (iBFT) ------------------------------------------------------------------

# Print the value $2 of the directory $1 of the firmware's table; status 1 when it has none. Only
# printable text passes: the table is as good as who wrote it.
_sr_ibft_value() {
    [ -r "$SR_SYS/firmware/ibft/$1/$2" ] || return 1
    _ibft_text=$(tr -d '\0\n' <"$SR_SYS/firmware/ibft/$1/$2")
    [ -n "$_ibft_text" ] && sr_check_string "$_ibft_text" && printf '%s\n' "$_ibft_text"
}

# Print the unit number that the kernel's spelling $1 means: eight bytes (SAM-5 4.7), each in hex
# without a leading zero. Status 1 for what is no single-level number below 256.
_sr_ibft_lun() {
    case $1 in
        0[0-9a-f]000000 | 0[0-9a-f][0-9a-f]000000) printf '%d\n' "0x${1%000000}" ;;
        *) return 1 ;;
    esac
}

# sr_iscsi_ibft: add the targets of the firmware's table, the one that was booted from first, and
# set $ibft_initiator; $ibft_first is the directory of the first there, for sr_iscsi_ibft_chap, and
# $SR_RUN/iscsi/lun its unit number.
sr_iscsi_ibft() {
    [ -d "$SR_SYS/firmware/ibft" ] || sr_run modprobe -q iscsi_ibft || :
    ibft_initiator=$(_sr_ibft_value initiator initiator-name) || ibft_initiator=
    if [ -n "$ibft_initiator" ] && ! sr_check_iqn "$ibft_initiator"; then
        sr_fail "the firmware's initiator name is none: $ibft_initiator" "correct it in the firmware's set-up"
    fi
    ibft_first=''
    for _ibft_pass in booted others; do
        for _ibft_dir in "$SR_SYS"/firmware/ibft/target*; do
            _ibft_dir=${_ibft_dir##*/}
            # Bit 1: selected by the firmware to boot from.
            _ibft_flags=$(_sr_ibft_value "$_ibft_dir" flags) || continue
            sr_check_int "$_ibft_flags" || continue
            case $_ibft_pass:$((_ibft_flags & 2)) in
                booted:2 | others:0) _sr_ibft_target "$_ibft_dir" ;;
            esac
        done
    done
    [ -n "$ibft_first" ] || sr_fail "the firmware names no iSCSI target that could be used (iBFT)" \
        "is iSCSI boot on in the firmware, and the kmod iscsi_ibft in the image?"
}

_sr_ibft_target() {
    _ibft_target=$(_sr_ibft_value "$1" target-name) || return 0
    _ibft_host=$(_sr_ibft_value "$1" ip-addr) || return 0
    _ibft_port=$(_sr_ibft_value "$1" port) || _ibft_port=3260
    case $_ibft_host in
        *:*) _ibft_host="[$_ibft_host]" ;;
    esac
    if ! sr_check_iqn "$_ibft_target" || ! sr_check_endpoint "$_ibft_host:$_ibft_port"; then
        sr_warn "the firmware's $1 is left out: $_ibft_target at $_ibft_host:$_ibft_port is no target"
        return 0
    fi
    if [ -z "$ibft_first" ]; then
        ibft_first=$1
        _sr_ibft_lun "$(_sr_ibft_value "$1" lun || echo 00000000)" >"$SR_RUN/iscsi/lun" ||
            sr_fail "the firmware's unit number is none below 256: $(_sr_ibft_value "$1" lun)" \
                "give lun under [block] in the cluster file, and target and portal in place of ibft"
    fi
    sr_iscsi_pair "$_ibft_target" "$_ibft_host:$_ibft_port"
}

# sr_iscsi_ibft_chap FILE: put the firmware's name and secret for $ibft_first into iscsid's
# configuration FILE, in place of those there; nothing when the firmware has none.
sr_iscsi_ibft_chap() {
    _chap_user=$(_sr_ibft_value "$ibft_first" chap-name) || return 0
    _chap_secret=$(_sr_ibft_value "$ibft_first" chap-secret) || return 0
    (
        umask 077
        grep -v '^node\.session\.auth\.' "$1" >"$1.new" || :
        {
            echo 'node.session.auth.authmethod = CHAP'
            printf 'node.session.auth.username = %s\n' "$_chap_user"
            printf 'node.session.auth.password = %s\n' "$_chap_secret"
            if _chap_in=$(_sr_ibft_value "$ibft_first" rev-chap-name) &&
                _chap_secret_in=$(_sr_ibft_value "$ibft_first" rev-chap-name-secret); then
                printf 'node.session.auth.username_in = %s\n' "$_chap_in"
                printf 'node.session.auth.password_in = %s\n' "$_chap_secret_in"
            fi
        } >>"$1.new"
        mv "$1.new" "$1"
    )
}
