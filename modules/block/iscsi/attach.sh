#!/bin/sh
# Log in to the iSCSI target and publish the disk of the shared root as ROOT_DEVICE. A target that
# cannot be reached is tried again until the deadline; one that refuses us is an error at once.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"

# Exit codes of iscsiadm (its manual's EXIT STATUS).
exists=15
refused=19
not_connected=20
unauthorised=24

# Take apart netroot=iscsi:SERVER:[PROTOCOL]:[PORT]:[LUN]:TARGET (RFC 4173).
read_netroot() {
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
    lun=${_netroot_rest%%:*}
    target=${_netroot_rest#*:}
    portals=$_netroot_host:${_netroot_port:-3260}
    case $_netroot_protocol in
        '' | 6) ;;
        *) sr_fail "netroot=$1: the protocol must be 6 (TCP) or nothing" ;;
    esac
    if ! sr_check_endpoint "$portals" || ! sr_check_iqn "$target"; then
        sr_fail "netroot=$1 is not iscsi:SERVER:[PROTOCOL]:[PORT]:[LUN]:TARGET" "see RFC 4173, section 5"
    fi
    if [ -n "$lun" ] && ! sr_check_seconds "$lun"; then
        sr_fail "netroot=$1: $lun is no unit number (at most 16383, in decimal)"
    fi
}

pidfile=$SR_ROOT/run/iscsid.pid
etc=$SR_ROOT/etc/iscsi

iscsid_answers() {
    _answers_status=0
    "$SR_TIMEOUT" -k 5 10 iscsiadm -m session >/dev/null 2>&1 || _answers_status=$?
    [ "$_answers_status" -ne "$not_connected" ] && sr_alive "$pidfile"
}

start_iscsid() {
    if [ ! -s "$etc/initiatorname.iscsi" ]; then
        sr_fail "this node has no initiator name (/etc/iscsi/initiatorname.iscsi)" \
            "build the site part from a cluster file that has this node"
    fi
    mkdir -p "$SR_ROOT/run/lock/iscsi" "$etc/nodes" "$etc/send_targets"
    sr_alive "$pidfile" && return
    sr_survive iscsid
    sr_wait_for 20 "iscsid to answer" iscsid_answers
}

# Write the node record anew: iscsiadm fills it from iscsid.conf.
write_record() {
    sr_run iscsiadm -m node -T "$target" -p "$1" -o new >/dev/null
}

# Try the portals in turn. Status 0: logged in, $portal is the one; 1: none could be reached.
login() {
    for portal in $portals; do
        status=0
        sr_run -t 40 iscsiadm -m node -T "$target" -p "$portal" --login || status=$?
        case $status in
            0 | "$exists") return 0 ;;
            "$unauthorised")
                sr_fail "the target $target at $portal refused this node: authorisation failed (iscsiadm status $status)" \
                    "compare chap_user, chap_secret and this node's initiator name with what the target expects"
                ;;
            "$refused")
                sr_fail "the target $target at $portal refused the login (iscsiadm status $status)" \
                    "is the target's name right, and may this node's initiator use it?"
                ;;
        esac
        sr_log "$portal could not be reached (iscsiadm status $status); trying again"
    done
    return 1
}

# Print the sysfs directory of the SCSI target behind our session.
scsi_target() {
    for _scsi_session in "$SR_SYS"/class/iscsi_session/session*; do
        [ -r "$_scsi_session/targetname" ] || continue
        read -r _scsi_name <"$_scsi_session/targetname" || continue
        [ "$_scsi_name" = "$target" ] || continue
        for _scsi_target in "$_scsi_session"/device/target*:*:*; do
            [ -d "$_scsi_target" ] || continue
            printf '%s\n' "$_scsi_target"
            return 0
        done
    done
    return 1
}

disk_there() {
    _disk_target=$(scsi_target) || return 1
    disk=$(sr_block_of "$_disk_target" ${lun:+"$lun"}) && [ -e "$SR_DEV/$disk" ]
}

target=$SR_ISCSI_TARGET
portals=$SR_ISCSI_PORTAL
lun=$SR_ISCSI_LUN
[ -z "$SR_ISCSI_NETROOT" ] || read_netroot "$SR_ISCSI_NETROOT"
if [ -z "$target" ] || [ -z "$portals" ]; then
    sr_fail "no iSCSI target is named" \
        "give portal and target under [block] in the cluster file, or netroot=iscsi:SERVER::PORT:LUN:TARGET"
fi

sr_modprobe
start_iscsid
for portal in $portals; do
    write_record "$portal"
done
sr_hint "is the target up, and does a route lead there from $(sr_get NET_ADDRESS 'this node')? ping ${portals%%:*}"
if ! sr_wait_for "$SR_ISCSI_TIMEOUT" "the target $target at $portals" login; then
    sr_fail "the target $target at $portals could not be reached within $SR_ISCSI_TIMEOUT s (iscsiadm status $status)"
fi
sr_log "logged in to $target via $portal"

last_look=$(($(sr_uptime) + 30))
sr_hint "does the target offer a disk${lun:+ with the unit number $lun} to this node?"
until sr_wait_for 5 "a disk of $target" disk_there; do
    [ "$(sr_uptime)" -lt "$last_look" ] || exit 1
    # The target may offer the disk only now: the session's own look came too early.
    sr_run iscsiadm -m session --rescan >/dev/null
done
sr_put ROOT_DEVICE "$SR_DEV/$disk"
sr_log "the root's disk is $SR_DEV/$disk"
