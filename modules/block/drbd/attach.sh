#!/bin/sh
# Bring up this node's part of the mirror, connect it with its peer, wait until the data here is
# the newest and promote the device to primary: ROOT_DEVICE. What could make the two disks differ
# (going on alone, dropping one side's changes) is done only when told so.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=hooks/lib/disk.sh
. "$SR_LIB/disk.sh"

resource=$SR_DRBD_RESOURCE
here=$(sr_get NODE_NAME 'this node')
peers=$(awk -v me="$here" '$1 != me { printf "%s%s", between, $1; between = " and " }' "$SR_ETC/nodes" 2>/dev/null) || peers=
: "${peers:=the peer}"
helper=$SR_SYS/module/drbd/parameters/usermode_helper
mark="srbuild: drbd: attaching $resource"

# ask WORD…: what drbdadm says. The driver's 8.4 and 9 answer alike: a line for each connection or
# volume.
ask() {
    "$SR_TIMEOUT" -k 5 20 drbdadm "$@" 2>/dev/null
}

# is_up RESOURCE: does the driver know it?
is_up() {
    case $(ask role "$1") in
        '' | Unconfigured*) return 1 ;;
    esac
}

# Print the state of the root's disk here: UpToDate, Inconsistent, Outdated, Consistent, …
own_disk() {
    ask dstate "$resource/$SR_DRBD_VOLUME" | sed 's,/.*,,' | head -n 1
}

# Is what lies here the newest, as far as this node knows? Consistent: it was when it was last in
# use, and the peer did not say otherwise. Sets $disk.
is_usable() {
    disk=$(own_disk)
    case $disk in
        UpToDate | Consistent) ;;
        *) return 1 ;;
    esac
}

# Print what the kernel said of DRBD since this script began.
kernel_words() {
    "$SR_TIMEOUT" -k 5 10 dmesg | awk -v mark="$mark" '
        index($0, mark) { count = 0; next }
        /drbd/ { lines[++count] = $0 }
        END { for (i = 1; i <= count; i++) print lines[i] }' | sr_printable
}

# set_helper PROGRAM: what DRBD runs for its handlers. Without a line's end: it would be part of the
# name.
set_helper() {
    printf '%s' "$1" >"$helper"
}

# --- the driver -------------------------------------------------------------------------------

load_driver() {
    sr_modprobe
    _load_version=$(cat "$SR_SYS/module/drbd/version" 2>/dev/null) || _load_version=unknown
    case $_load_version in
        "$SR_DRBD_VERSION" | "$SR_DRBD_VERSION".*) ;;
        *)
            sr_fail "the kernel's DRBD is $_load_version, the configuration is for $SR_DRBD_VERSION" \
                "set version under [block] in the cluster file to the driver's, 8.4 or 9"
            ;;
    esac
    # It would run /sbin/drbdadm for its handlers, on whatever is / by then, and wait for it. The
    # cluster's own fencing does what handlers are for.
    set_helper disabled
}

# --- this node's disk -------------------------------------------------------------------------

# Lead /run/srbuild/drbd/RESOURCE, as the rendered configuration says, to the node's disk.
find_disk() {
    if [ -n "$SR_DRBD_DISK" ]; then
        sr_disk_await 60 "$SR_DRBD_DISK"
        mkdir -p "$SR_RUN/drbd"
        ln -sfn "$device" "$SR_RUN/drbd/$resource"
    fi
    lower=$(ask sh-ll-dev "$resource/$SR_DRBD_VOLUME") || lower=
    if [ -z "$lower" ]; then
        "$SR_TIMEOUT" -k 5 20 drbdadm dump "$resource" 2>&1 >/dev/null | tail -n 4 | sr_printable >&2
        sr_fail "/etc/drbd.conf gives $here no part in the resource $resource" \
            "is there an 'on $here' in it (the node's name, as uname -n says), and is the configuration right? drbdadm dump"
    fi
    case $lower in
        "$SR_RUN"/*) ;;
        *) sr_disk_await 60 "$lower" ;;
    esac
}

# The configuration may be the user's own: does it suit the file system?
check_primaries() {
    read -r primaries <"$SR_ETC/drbd.primaries" || primaries=one
    _primaries_found=one
    if ask dump "$resource" | grep -Eq '^[[:space:]]*allow-two-primaries([[:space:]]+yes)?;'; then
        _primaries_found=two
    fi
    [ "$primaries" = "$_primaries_found" ] || sr_fail \
        "the resource $resource is for $_primaries_found primaries, the root's file system for $primaries" \
        "correct allow-two-primaries in its net { }: yes for gfs2 and ocfs2, nothing for all others"
}

# attach_disk: everything of `drbdadm up` but the connection.
attach_disk() {
    _attach_log=$SR_RUN/drbd.attach
    set -- new-resource new-minor
    [ "$SR_DRBD_VERSION" = 8.4 ] || set -- "$@" new-peer new-path
    for step in "$@" attach; do
        if ! sr_run -t 60 drbdadm "$step" "$resource" >"$_attach_log" 2>&1 </dev/null; then
            sr_printable <"$_attach_log" >&2
            ! grep -qi 'no valid meta.data found' "$_attach_log" || fail_no_metadata
            sr_fail "$resource could not be attached to $lower (drbdadm $step)" \
                "what drbdadm says stands above; drbdadm down $resource, then resume, tries again"
        fi
    done
}

fail_no_metadata() {
    ask down "$resource" || :
    sr_fail "there is no DRBD metadata on $lower: $resource was never made there" \
        "is it the right disk? If so, with the peer's shell open as well, on every node whose disk has none: drbdadm create-md $resource; a disk with data on it is spoilt where the data reaches its end. Then resume. If no disk has data: see 'the first time' in docs/drbd.md"
}

# --- the peer ---------------------------------------------------------------------------------

# Set $link to what the connections amount to: up, waiting or refused. Of several peers, so many
# must be there that they and this node are the majority.
look_at_link() {
    link=$(ask cstate "$resource" | awk '
        /^StandAlone/ { refused++ }
        /^(Connected|Established|SyncSource|SyncTarget|PausedSync|VerifyS|VerifyT|Ahead|Behind)/ { up++ }
        /./ { all++ }
        END { print ((up && 2 * (up + 1) > all + 1) ? "up" : refused ? "refused" : "waiting") }')
}

settled() {
    look_at_link
    [ "$link" != waiting ]
}

# Print how many KiB were changed here (self) or there (peer) since the two lost each other: the
# kernel counts blocks of 4 KiB when the nodes compare what they have.
changed() {
    printf '%s\n' "$words" | awk -v who="$1" '
        index($0, " " who " ") && match($0, /bits:[0-9]+/) {
            count = substr($0, RSTART + 5, RLENGTH - 5) * 4
        }
        END { print count + 0 }'
}

# Say why the peer and this node don't connect, and what to do.
fail_refused() {
    words=$(kernel_words)
    printf '%s\n' "$words" | tail -n 8 >&2
    case $words in
        *[Ss]plit-[Bb]rain*)
            sr_fail "split brain of $resource: $here and $peers both have changes that the other lacks; since they lost each other $(changed self) KiB were written on $here and $(changed peer) KiB on $peers" \
                "choose whose changes are lost. Those of $here: drbdadm secondary $resource; drbdadm disconnect $resource; drbdadm connect --discard-my-data $resource; resume (or boot it once with rd.srb.drbd.discard_my_data=1). Those of $peers: the same there, and here drbdadm connect $resource; resume. A side that is StandAlone (drbdadm cstate $resource) needs drbdadm connect $resource"
            ;;
        *[Aa]uthentication* | *cram-hmac-alg* | *"requires authentication"*)
            sr_fail "$here and $peers do not believe each other: the shared_secret of $resource is not the same on both" \
                "build the site parts of all nodes from one cluster file"
            ;;
        *'Unrelated data'*)
            sr_fail "the disks of $here and $peers never were one mirror: $resource was made on each by itself" \
                "choose the disk whose data is lost; on its node: drbdadm down $resource; drbdadm create-md $resource; resume"
            ;;
    esac
    sr_fail "$here and $peers refuse to mirror $resource" \
        "the kernel's words stand above: do both have the same configuration? drbdadm connect $resource tries again, then resume"
}

connect() {
    look_at_link
    [ "$link" = refused ] || return 0
    set --
    if [ "$SR_DRBD_DISCARD_MY_DATA" = 1 ]; then
        sr_warn "giving up the changes that only $here has (discard_my_data)"
        set -- --discard-my-data
    fi
    sr_run drbdadm connect "$@" "$resource" >&2 ||
        sr_fail "$resource could not be connected" "are the addresses right? drbdadm dump $resource"
}

# Wait for the peer: as long as it takes, or going on without it when that is allowed and the data
# here is not known to be old.
await_peer() {
    _peer_limit=$SR_DRBD_TIMEOUT
    [ "$SR_DRBD_ALONE" = 0 ] || _peer_limit=$SR_DRBD_ALONE_AFTER
    sr_hint "is $peers up, and reachable from here? If it is dead for certain, rd.srb.drbd.alone=1 boots $here without it; if it is only cut off and goes on as well, the disks will differ (split brain)"
    alone=
    if sr_wait_for "$_peer_limit" "$peers to mirror $resource" settled; then
        [ "$link" = up ] || fail_refused
        sr_log "mirroring with $peers"
        return
    fi
    if [ "$SR_DRBD_ALONE" = 0 ]; then
        sr_fail "$peers did not come to mirror $resource within $_peer_limit s"
    fi
    is_usable || sr_fail \
        "$here cannot go on alone: its disk is $disk, $peers has newer data" \
        "boot $peers first. If its disk is lost for good: drbdadm primary --force $resource; resume, and what is newer there is lost"
    alone=1
    sr_warn "GOING ON WITHOUT $peers (alone = true). If it runs and is only cut off, the disks come"
    sr_warn "to differ: a split brain, in which one side's changes are lost."
}

# --- the data ---------------------------------------------------------------------------------

# Print how much of the resynchronisation is done, such as 43.2%.
progress() {
    if [ "$SR_DRBD_VERSION" = 8.4 ]; then
        sed -n "s/.*sync'ed: *\([0-9.]*%\).*/\1/p" "$SR_PROC/drbd" 2>/dev/null | head -n 1
    else
        "$SR_TIMEOUT" -k 5 20 drbdsetup status "$resource" 2>/dev/null |
            sed -n 's/.*done:\([0-9.]*\).*/\1%/p' | head -n 1
    fi
}

# Is this node's disk up to date, or the connection gone?
has_data() {
    disk=$(own_disk)
    [ "$disk" != UpToDate ] || return 0
    look_at_link
    [ "$link" = up ] || return 0
    now=$(sr_uptime)
    if [ "$now" -ge "$next_report" ]; then
        next_report=$((now + 5))
        _data_done=$(progress)
        sr_log "the disk here is $disk; taking what is newer from $peers${_data_done:+: $_data_done}"
    fi
    return 1
}

# Status 1: the connection was lost before the data was here.
await_data() {
    [ -z "$alone" ] || return 0
    next_report=0
    disk=$(own_disk)
    if [ "$SR_DRBD_SYNC" = go-on ] && [ "$disk" = Inconsistent ]; then
        sr_warn "going on while the disk here is brought up to date (sync = go-on): should $peers be lost before that, the root is lost, too"
        return
    fi
    if [ "$disk" = Diskless ] || [ "$disk" = Failed ]; then
        sr_fail "$lower does not work any more: $resource has let go of it" "see dmesg; a new disk needs drbdadm create-md $resource"
    fi
    [ "$disk" = UpToDate ] || check_source
    sr_hint "cat /proc/drbd shows how far it is"
    sr_wait_for 0 "the disk here to be up to date" has_data
    [ "$disk" = UpToDate ] || {
        sr_warn "$peers was lost before the disk here was up to date"
        return 1
    }
}

# Data that neither side has never comes.
check_source() {
    case $(ask dstate "$resource/$SR_DRBD_VOLUME") in
        Inconsistent/Inconsistent | Inconsistent/Inconsistent/Inconsistent)
            sr_fail "neither $here nor $peers has data in $resource: it was never brought into use" \
                "once, on one node only, whose disk then counts as the right one: drbdadm new-current-uuid --clear-bitmap $resource (empty disks) or drbdadm primary --force $resource (its data is copied to the other); make the file system; resume"
            ;;
    esac
}

# --- the device -------------------------------------------------------------------------------

# Has a peer the device in use? Asked before trying, which the kernel would log every time.
peer_is_primary() {
    if [ "$SR_DRBD_VERSION" = 8.4 ]; then
        case $(ask role "$resource") in
            */Primary*) return 0 ;;
        esac
        return 1
    fi
    "$SR_TIMEOUT" -k 5 20 drbdsetup status "$resource" 2>/dev/null |
        awk 'NR > 1 && / role:Primary/ { found = 1 } END { exit !found }'
}

# Did the peer, when it was seen last, take leave as one that did not use the device? (A primary
# that leaves makes this node's disk outdated.)
peer_took_leave() {
    is_usable || return 1
    case $(kernel_words | grep 'peer( ' | tail -n 1) in
        *'peer( Secondary -> Unknown )'*TearDown* | *TearDown*'peer( Secondary -> Unknown )'*) ;;
        *) return 1 ;;
    esac
}

# Without the peer DRBD promotes only when its handler says that the peer counts as outdated (exit
# status 4): here it is decided already. `primary --force` would start a data generation that has
# nothing in common with the peer's, and every later meeting would be a split brain.
answer_for_peer() {
    cat >"$SR_RUN/drbd.helper" <<'END'
#!/bin/sh
[ "$1" != fence-peer ] || exit 4
END
    chmod 755 "$SR_RUN/drbd.helper"
    set_helper "$SR_RUN/drbd.helper"
}

# Promote the device, unless a peer has it and may not share it: then status 1. Status 0 without
# $promoted: the peer, which may have it in use, was lost meanwhile.
promote() {
    promoted=
    look_at_link
    if [ "$link" != up ] && [ -z "$alone" ]; then
        peer_took_leave || return 0
        sr_log "$peers has taken leave; the data here is the newest"
        alone=1
    fi
    if [ "$primaries" = one ] && peer_is_primary; then
        return 1
    fi
    [ "$link" = up ] || ! is_usable || answer_for_peer
    _promote_status=0
    sr_run -t 60 drbdadm primary "$resource" >"$SR_RUN/drbd.primary" 2>&1 || _promote_status=$?
    set_helper disabled
    if [ "$_promote_status" -eq 0 ]; then
        promoted=1
        return 0
    fi
    ! grep -qi 'multiple primaries' "$SR_RUN/drbd.primary" || return 1
    if [ -z "$alone" ]; then
        # The peer went between the look and the attempt: look again.
        look_at_link
        [ "$link" = up ] || return 1
    fi
    sr_printable <"$SR_RUN/drbd.primary" >&2
    sr_fail "$resource could not be promoted to primary" "what drbdadm says stands above; cat /proc/drbd"
}

# --- all resources ----------------------------------------------------------------------------

# The others of the configuration are brought up for the system; only the root's is waited for.
bring_up_others() {
    for _others_name in $names; do
        [ "$_others_name" != "$resource" ] || continue
        is_up "$_others_name" && continue
        sr_run -t 60 drbdadm up "$_others_name" >&2 </dev/null ||
            sr_warn "$_others_name could not be brought up"
    done
}

mkdir -p "$SR_ROOT/var/lib/drbd" "$SR_ROOT/run/drbd" "$SR_ROOT/run/lock"
load_driver
find_disk
check_primaries
printf '%s\n' "<6>$mark" >"$SR_DEV/kmsg"
names=$(ask sh-resources | tr '\n' ' ')
sr_put DRBD_RESOURCES "$names"
is_up "$resource" || attach_disk
bring_up_others
promoted=
until [ -n "$promoted" ]; do
    connect
    await_peer
    await_data || continue
    sr_hint "$peers has the root in use, and it can be on one node at a time: let it go there (shutdown), or wait"
    sr_wait_for 0 "$peers to let go of $resource" promote
done
root=$(ask sh-dev "$resource/$SR_DRBD_VOLUME")
sr_wait_for 10 "the device $root" test -e "$root"
sr_put ROOT_DEVICE "$root"
sr_log "the root's disk is $root, a mirror of $lower${alone:+, alone}"
