#!/bin/sh
# Log in to the iSCSI targets and publish the disk of the shared root as ROOT_DEVICE, all disks as
# BLOCK_DEVICES. What cannot be reached is tried again until the deadline, what refuses us is not;
# one bad way or target does not stop the others.
#
# With the boot module multipath every portal is logged in to, all at a time, and iscsid goes on
# trying those that are away after the boot has gone on. Without it a disk that is there twice would
# be used as two: each target is then logged in to by the first of its portals that answers.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=hooks/lib/disk.sh
. "$SR_LIB/disk.sh"
# shellcheck source=modules/block/iscsi/targets.sh
. "${0%/*}/targets.sh"
# shellcheck source=modules/block/iscsi/away.sh
. "${0%/*}/away.sh"

# Exit codes of iscsiadm (its manual's EXIT STATUS).
exists=15
refused=19
unauthorised=24

pidfile=$SR_ROOT/run/iscsid.pid

# --- what to log in to ----------------------------------------------------------------------------

# Set $lun, and add what is known without asking a portal.
choose() {
    lun=$SR_ISCSI_LUN initiator=$SR_ISCSI_INITIATOR portals=$SR_ISCSI_PORTAL discovery=$SR_ISCSI_DISCOVERY
    if [ -n "$SR_ISCSI_NETROOT" ]; then
        portals='' lun=''
        for _choose_text in $SR_ISCSI_NETROOT; do
            sr_iscsi_netroot "$_choose_text"
            [ -n "$lun" ] || lun=$netroot_lun
        done
    elif [ "$SR_ISCSI_IBFT" = 1 ]; then
        portals=
        sr_iscsi_ibft
        read -r lun <"$work/lun"
        initiator=${initiator:-$ibft_initiator}
        sr_iscsi_ibft_chap "$etc/iscsid.conf"
    elif sr_iscsi_rootsource "$SR_ISCSI_ROOTSOURCE"; then
        portals=${source_portal:-$portals} initiator=${source_initiator:-$initiator}
        [ -n "$SR_ISCSI_TARGET" ] || discovery=sendtargets
    fi
    [ "$discovery" = sendtargets ] || add_static "$portals"
}

# Add every target that is named, at each of the portals $1.
add_static() {
    for _static_target in $SR_ISCSI_TARGET; do
        for _static_portal in $1; do
            sr_iscsi_pair "$_static_target" "$_static_portal"
        done
    done
}

# Ask all portals at a time what they have (SendTargets, RFC 7143 appendix C); a portal that does
# not answer is taken to have the targets that are named. No node records are made of it: beside those
# of write_records every login would be tried twice.
discover() {
    for _discover_portal in $portals; do
        (
            : >"$work/asked.$_discover_portal"
            _discover_status=0
            "$SR_TIMEOUT" -k 5 15 iscsiadm -m discovery -t sendtargets -o nonpersistent -p "$_discover_portal" \
                >"$work/asked.$_discover_portal" || _discover_status=$?
            [ "$_discover_status" -ne "$unauthorised" ] || echo refused >"$work/unauthorised"
        ) &
    done
    wait
    : >"$work/pairs"
    for _discover_portal in $portals; do
        if [ -s "$work/asked.$_discover_portal" ]; then
            add_found "$work/asked.$_discover_portal"
        else
            sr_warn "$_discover_portal did not say what targets it has"
            add_static "$_discover_portal"
        fi
    done
    cat "$work"/asked.* | grep -q . || [ -e "$work/unauthorised" ]
}

# Add the targets of iscsiadm's lines `PORTAL,GROUP TARGET` in the file $1: those that are named, or
# all of them when none is.
add_found() {
    while read -r _found_portal _found_target; do
        _found_portal=${_found_portal%,*}
        if ! sr_check_endpoint "$_found_portal" || ! sr_check_iqn "$_found_target"; then
            continue
        fi
        case " $SR_ISCSI_TARGET " in
            '  ' | *" $_found_target "*) sr_iscsi_pair "$_found_target" "$_found_portal" ;;
        esac
    done <"$1"
}

ask() {
    sr_hint "is the target's server up, and does a route lead there from $(sr_get NET_ADDRESS 'this node')? ping ${portals%%:*}"
    sr_wait_for "$SR_ISCSI_TIMEOUT" "a portal of $portals to say what it has" discover ||
        sr_fail "none of the portals $portals said what it has within $SR_ISCSI_TIMEOUT s"
    if ! cat "$work"/asked.* | grep -q .; then
        sr_fail "the portals $portals do not let this node ask for targets: authorisation failed" \
            "give discovery_user and discovery_secret, or name the targets without discovery"
    fi
    if [ ! -s "$work/pairs" ]; then
        sort -u "$work"/asked.* | sr_printable >&2
        sr_fail "the portals $portals have none of: $SR_ISCSI_TARGET" "what they have stands above: correct the target's name"
    fi
    # In the order in which they are named: the first is the root's.
    for _ask_target in $SR_ISCSI_TARGET; do
        grep "^$_ask_target " "$work/pairs" || :
    done >"$work/sorted"
    [ -z "$SR_ISCSI_TARGET" ] || mv "$work/sorted" "$work/pairs"
    if [ -z "$SR_ISCSI_TARGET$SR_ISCSI_DEVICE" ] && [ "$(targets | wc -l)" -gt 1 ]; then
        targets | sr_printable >&2
        sr_fail "the portals $portals have several targets (see above)" \
            "name the root's under [block] in the cluster file: target, or device to tell its disk"
    fi
}

targets() {
    cut -d ' ' -f 1 "$work/pairs" | awk '!seen[$0]++'
}

portals_of() {
    awk -v target="$1" '$1 == target { print $2 }' "$work/pairs"
}

# --- iscsid ---------------------------------------------------------------------------------------

# It listens where iscsiadm looks for it (usr/mgmt_ipc.c of open-iscsi). To ask by iscsiadm itself
# would take as long as the login.
iscsid_answers() {
    sr_alive "$pidfile" && grep -q '@ISCSIADM_ABSTRACT_NAMESPACE$' "$SR_PROC/net/unix"
}

start_iscsid() {
    [ -z "$initiator" ] || printf 'InitiatorName=%s\n' "$initiator" >"$etc/initiatorname.iscsi"
    if [ ! -s "$etc/initiatorname.iscsi" ]; then
        sr_fail "this node has no initiator name (/etc/iscsi/initiatorname.iscsi)" \
            "build the site part from a cluster file that has this node"
    fi
    mkdir -p "$SR_ROOT/run/lock/iscsi" "$etc/nodes" "$etc/send_targets"
    sr_alive "$pidfile" && return
    sr_survive iscsid
    sr_wait_for 20 "iscsid to answer" iscsid_answers
}

# Write the node records anew: iscsiadm fills them from iscsid.conf.
write_records() {
    while read -r _record_target _record_portal; do
        sr_run iscsiadm -m node -T "$_record_target" -p "$_record_portal" -o new </dev/null >/dev/null
    done <"$work/pairs"
}

# --- the logins -----------------------------------------------------------------------------------

# Let one worker per way log in, or per target that has to do with one; each leaves its result in
# $work/results/NUMBER: the target, and `in PORTAL` or `refused STATUS PORTAL`.
start_workers() {
    mkdir -p "$work/results"
    count=0 workers=
    if [ "$every_way" = 1 ]; then
        while read -r _worker_target _worker_portal; do
            start_worker "$_worker_target" "$_worker_portal"
        done <"$work/pairs"
    else
        for _worker_target in $(targets); do
            set --
            for _worker_portal in $(portals_of "$_worker_target"); do
                set -- "$@" "$_worker_portal"
            done
            start_worker "$_worker_target" "$@"
        done
    fi
}

start_worker() {
    count=$((count + 1))
    log_in "$count" "$@" </dev/null &
    workers="$workers $!"
}

log_in() {
    _login_result=$work/results/$1 _login_target=$2 _login_child=
    shift 2
    trap 'kill $_login_child 2>/dev/null; exit 1' TERM
    while [ "$#" -gt 0 ]; do
        _login_left=$#
        while [ "$_login_left" -gt 0 ]; do
            _login_portal=$1
            shift
            _login_left=$((_login_left - 1))
            login_once && return 0
            case $status in
                "$unauthorised" | "$refused") ;;
                *) set -- "$@" "$_login_portal" ;;
            esac
        done
        # Nobody should be asked more often than a few times a second.
        sr_pause
    done
    result "refused $_login_reason"
}

result() {
    printf '%s %s\n' "$_login_target" "$1" >"$_login_result.new"
    mv "$_login_result.new" "$_login_result"
}

login_once() {
    status=0
    "$SR_TIMEOUT" -k 5 "$login_limit" iscsiadm -m node -T "$_login_target" -p "$_login_portal" --login &
    _login_child=$!
    wait "$_login_child" || status=$?
    case $status in
        0) result "in $_login_portal" ;;
        "$exists") logged_in "$_login_target" && result "in $_login_portal" ;;
        "$unauthorised" | "$refused")
            _login_reason="$status $_login_portal"
            sr_warn "the target $_login_target at $_login_portal refused this node (iscsiadm status $status)"
            return 1
            ;;
        *)
            sr_log "$_login_portal could not be reached (iscsiadm status $status); trying again"
            echo " (iscsiadm status $status)" >"$work/away"
            return 1
            ;;
    esac
}

# Has any session with the target $1 come to its end, the full feature phase?
logged_in() {
    for _logged_session in "$SR_SYS"/class/iscsi_session/session*; do
        [ "$(cat "$_logged_session/targetname" 2>/dev/null)" = "$1" ] || continue
        case $(cat "$_logged_session/state" 2>/dev/null) in
            LOGGED_IN | '') return 0 ;;
        esac
    done
    return 1
}

end_workers() {
    for _end_worker in $workers; do
        kill "$_end_worker" 2>/dev/null || :
    done
    workers=
}

# Print the results of the target $1, without it those of all.
results() {
    cat "$work"/results/[0-9]* 2>/dev/null | awk -v target="$1" 'target == "" || $1 == target'
}

# Set $settled to how many ways to the target $1 (without it: to all) have their result, and $in to
# how many of them are in. No process is started: this is asked while the logins need the machine.
look_at() {
    settled=0 in=0
    for _look_file in "$work"/results/*; do
        case $_look_file in
            *.new) continue ;;
        esac
        [ -f "$_look_file" ] || continue
        read -r _look_target _look_how _ <"$_look_file" || continue
        [ "${1:-$_look_target}" = "$_look_target" ] || continue
        settled=$((settled + 1))
        [ "$_look_how" != in ] || in=$((in + 1))
    done
}

# Is the root's target in, or is there no hope that it will be?
root_settled() {
    look_at "$root"
    [ "$in" -gt 0 ] || [ "$settled" -eq "$root_ways" ]
}

all_settled() {
    look_at ''
    [ "$settled" -eq "$count" ]
}

# Wait for the root's target, and a while for the others. $root is empty where any may have it.
await() {
    root=$(targets | head -n 1)
    [ -z "$SR_ISCSI_DEVICE" ] || root=
    root_ways=1
    [ "$every_way" = 0 ] || root_ways=$(awk -v target="$root" '$1 == target' "$work/pairs" | wc -l)
    [ -n "$root" ] || root_ways=$count
    _await_what="the target ${root:-$(targets | tr '\n' ' ')} at $(portals_of "${root:-$(targets | head -n 1)}" | tr '\n' ' ')"
    _await_what=${_await_what% }
    sr_hint "is the target up, and does a route lead there from $(sr_get NET_ADDRESS 'this node')? ping $(portals_of "$(targets | head -n 1)" | sed 's/:[0-9]*$//; q')"
    if ! sr_wait_for "$SR_ISCSI_TIMEOUT" "$_await_what" root_settled; then
        away "$_await_what"
    fi
    [ "$in" -gt 0 ] || refuse
    sr_wait_for "$SR_ISCSI_REST_TIMEOUT" "the other targets and portals" all_settled || :
    tell
}

refuse() {
    read -r _refuse_target _ _refuse_status _refuse_portal <<END
$(results "$root" | head -n 1)
END
    if [ "$_refuse_status" = "$unauthorised" ]; then
        sr_fail "the target $_refuse_target at $_refuse_portal refused this node: authorisation failed (iscsiadm status $_refuse_status)" \
            "compare chap_user, chap_secret and this node's initiator name with what the target expects"
    fi
    sr_fail "the target $_refuse_target at $_refuse_portal refused the login (iscsiadm status $_refuse_status)" \
        "is the target's name right, may this node's initiator use it, and does it prove itself with chap_secret_in, if that is set?"
}

# Say what is in and what is not.
tell() {
    results '' | while read -r _tell_target _tell_how _tell_status _; do
        [ "$_tell_how" != in ] || sr_log "logged in to $_tell_target via $_tell_status"
    done
    _tell_away=$((count - $(results '' | wc -l)))
    if [ "$_tell_away" -gt 0 ] && [ "$every_way" = 1 ]; then
        sr_warn "going on without $_tell_away of $count ways to the targets; iscsid keeps trying them"
    elif [ "$_tell_away" -gt 0 ]; then
        sr_warn "going on without $_tell_away of $count targets"
    fi
}

# --- the disks ------------------------------------------------------------------------------------

# Print the sysfs directories of the SCSI targets behind our sessions with the target $1.
scsi_targets() {
    for _scsi_session in "$SR_SYS"/class/iscsi_session/session*; do
        [ -r "$_scsi_session/targetname" ] || continue
        read -r _scsi_name <"$_scsi_session/targetname" || continue
        [ "$_scsi_name" = "$1" ] || continue
        for _scsi_target in "$_scsi_session"/device/target*:*:*; do
            [ ! -d "$_scsi_target" ] || printf '%s\n' "$_scsi_target"
        done
    done
}

# Set $disk to the disk of the root's target.
disk_there() {
    for _disk_target in $(scsi_targets "$root"); do
        if disk=$(sr_block_of "$_disk_target" ${lun:+"$lun"}) && [ -e "$SR_DEV/$disk" ]; then
            return 0
        fi
    done
    return 1
}

find_disk() {
    if [ -n "$SR_ISCSI_DEVICE" ]; then
        sr_disk_await 30 "$SR_ISCSI_DEVICE"
        return
    fi
    _find_end=$(($(sr_uptime) + 30))
    sr_hint "does the target offer a disk${lun:+ with the unit number $lun} to this node?"
    until sr_wait_for 5 "a disk of $root" disk_there; do
        [ "$(sr_uptime)" -lt "$_find_end" ] || exit 1
        # The target may offer the disk only now: the session's own look came too early.
        sr_run iscsiadm -m session --rescan >/dev/null
    done
    device=$SR_DEV/$disk
}

# Print every disk of every target, in order.
all_disks() {
    for _all_name in $(targets); do
        for _all_target in $(scsi_targets "$_all_name"); do
            for _all_disk in "$_all_target"/*:*:*:*/block/*; do
                [ ! -d "$_all_disk" ] || printf '%s\n' "$SR_DEV/${_all_disk##*/}"
            done
        done
    done
}

rm -rf "$work"
mkdir -p "$work"
: >"$work/pairs"
every_way=0 login_limit=40 workers=
# The login itself goes on trying then (iscsid.conf); what ends first is our patience.
! grep -q ' multipath ' "$SR_HOME/runs" 2>/dev/null || every_way=1 login_limit=$((SR_ISCSI_TIMEOUT + SR_ISCSI_REST_TIMEOUT + 10))
choose
if [ ! -s "$work/pairs" ] && { [ "$discovery" != sendtargets ] || [ -z "$portals" ]; }; then
    sr_fail "no iSCSI target is named" \
        "give portal and target under [block] in the cluster file, or netroot=iscsi:SERVER::PORT:LUN:TARGET"
fi

sr_modprobe
start_iscsid
[ -s "$work/pairs" ] || ask
write_records
trap end_workers EXIT
start_workers
await
end_workers
find_disk
sr_put ROOT_DEVICE "$device"
sr_put BLOCK_DEVICES "$(all_disks | tr '\n' ' ' | sed 's/ *$//')"
sr_log "the root's disk is $device"
