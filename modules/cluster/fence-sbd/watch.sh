#!/bin/sh
# Start to read this node's messages on the shared disks, with the watchdog armed, before the node
# has anything to lose: from here on it can be fenced.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"

# Print the disks that begin with sbd's mark.
marked_disks() {
    for disk in "$SR_SYS"/block/*; do
        case ${disk##*/} in
            loop* | ram* | sr* | fd* | zram*) continue ;;
        esac
        mark=$(dd if="$SR_DEV/${disk##*/}" bs=8 count=1 2>/dev/null | tr -cd 'A-Z_') || continue
        [ "$mark" != SBD_SBD_ ] || echo "$SR_DEV/${disk##*/}"
    done
}

has_disks() {
    if [ -z "$SR_FENCE_SBD_DEVICE" ]; then
        found=$(marked_disks)
        [ -n "$found" ]
        return
    fi
    found=$SR_FENCE_SBD_DEVICE
    for disk in $found; do
        [ -b "$disk" ] || return 1
    done
}

has_watchdog() {
    [ -c "$SR_FENCE_SBD_WATCHDOG" ]
}

[ -z "$(sr_get ALONE '')" ] || exit 0
sr_hint "is the disk attached, and was it made once with: sbd -d DISK -1 15 -4 30 create? device under [fence-sbd] names it"
sr_wait_for "$SR_FENCE_SBD_TIMEOUT" "sbd's disk ${SR_FENCE_SBD_DEVICE:-(any that sbd create was run on)}" has_disks
if ! has_watchdog && [ "$SR_FENCE_SBD_SOFTDOG" = 1 ]; then
    sr_modprobe softdog
    sr_warn "the kernel's softdog stands in for a watchdog"
fi
sr_hint "does the machine have a watchdog, and the image its driver? softdog = true under [fence-sbd] makes do with the kernel's own"
sr_wait_for "$SR_FENCE_SBD_TIMEOUT" "the watchdog $SR_FENCE_SBD_WATCHDOG" has_watchdog

# check_slot DISK: sbd would take a free slot by itself, but two nodes that do so at the same time
# take the same one, and the message for one of them then resets the other.
check_slot() {
    slots=$(sr_run -t 20 sbd -d "$1" list) || slots=
    count=$(printf '%s\n' "$slots" | awk -v name="$name" '$2 == name { count++ } END { print count + 0 }')
    [ "$count" -eq 1 ] || sr_fail "$1 has $count slots for messages to $name" \
        "on one node, once, for every node in turn: sbd -d $1 allocate $name"
}

name=$(sr_get NODE_NAME)
# Without a flush before the reset: that of a node which has lost its root's disk has no end, and
# nothing of a fenced node may reach the disk any more.
set -- -r noflush,reboot -n "$name" -w "$SR_FENCE_SBD_WATCHDOG" -p "$SR_RUN/sbd.pid"
disks=
for disk in $found; do
    header=$(sr_run -t 20 sbd -d "$disk" dump) ||
        sr_fail "$disk carries no sbd header" "make it once, on one node: sbd -d $disk -1 15 -4 30 create"
    wait=$(printf '%s\n' "$header" | sed -n 's/^Timeout (msgwait) *: //p')
    if ! sr_check_int "$wait" || [ "$wait" -ge "$SR_FENCE_TIMEOUT" ]; then
        sr_fail "a message on $disk takes ${wait:-?} s to count, [fence] timeout is $SR_FENCE_TIMEOUT s" \
            "give a greater timeout under [fence] in the cluster file"
    fi
    check_slot "$disk"
    disks="$disks $disk"
    set -- -d "$disk" "$@"
done
sr_put SBD_DISKS "$disks"
# Nothing here is Pacemaker's: the disks alone say whether the node may live.
SBD_PACEMAKER=no SBD_SYNC_RESOURCE_STARTUP=no SBD_WATCHDOG=yes sr_survive sbd "$@" watch
sr_wait_for 20 "sbd to watch" sr_alive "$SR_RUN/sbd.pid"
sr_log "sbd reads this node's messages on$disks; $SR_FENCE_SBD_WATCHDOG is armed"
