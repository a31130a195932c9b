#!/bin/sh
# Wait for the LUN of the shared root on the Fibre Channel fabric and publish its disk as
# ROOT_DEVICE. Adapters log in and look for targets by themselves; what is waited for here, in
# this order, is an adapter, its link, the target's port (an rport), and the disk behind it.
# FCoE ports are adapters like any other.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=hooks/lib/fc.sh
. "$SR_LIB/fc.sh"

# Without multipath one path is all there is: its loss should be waited out, not reported. The
# kernel takes no more than 600 s unless reads and writes are to fail at once (fast_io_fail_tmo).
hold_on() {
    ! grep -q ' multipath ' "$SR_HOME/runs" 2>/dev/null || return 0
    for _hold_rport in "$SR_FC"/fc_remote_ports/rport-*; do
        [ -f "$_hold_rport/dev_loss_tmo" ] || continue
        sr_fc_is_target "$_hold_rport" || continue
        echo "$SR_FC_DEV_LOSS_TIMEOUT" >"$_hold_rport/dev_loss_tmo" ||
            sr_fail "the kernel refuses a dev_loss_timeout of $SR_FC_DEV_LOSS_TIMEOUT s" "600 is its most"
    done
}

# Seconds that are left of the whole; 1 when there are none, for 0 would mean for ever.
left() {
    if [ "$SR_FC_TIMEOUT" -eq 0 ]; then
        echo 0
        return
    fi
    _left=$((deadline - $(sr_uptime)))
    [ "$_left" -gt 0 ] || _left=1
    echo "$_left"
}

await_link() {
    sr_wait_for "$(left)" "a Fibre Channel adapter" sr_fc_any_host || sr_fail \
        "this machine has no Fibre Channel adapter that works" \
        "$(sr_fc_cards)"
    sr_wait_for "$(left)" "a link on a Fibre Channel adapter ($(sr_fc_hosts | tr '\n' ';'))" sr_fc_online && return
    sr_fc_hosts >&2
    sr_fail "no Fibre Channel adapter has a link: $(sr_fc_hosts | tr '\n' ';')" "$(sr_fc_link_hint)"
}

await_target() {
    sr_wait_for "$(left)" "the target's port (${wwpns:-any})" target_seen && return
    sr_fc_rports >&2
    _await_seen=$(sr_fc_rports | tr '\n' ';')
    sr_fail "the target's port was not found: $wwpns" \
        "seen: ${_await_seen:-no port at all}; is the name right, does a zone of the fabric join it with $(sr_fc_own | tr '\n' ' ')?"
}

target_seen() {
    targets=$(sr_fc_targets "$wwpns")
    [ -n "$targets" ]
}

# Ask the targets for their units again every 5 seconds: one may have been given to us only now.
disk_seen() {
    targets=$(sr_fc_targets "$wwpns")
    paths=$(sr_fc_paths "$targets" "$SR_FC_LUN" "$wwid")
    [ -z "$paths" ] || return 0
    if [ "$(sr_uptime)" -ge "$next_scan" ]; then
        next_scan=$(($(sr_uptime) + 5))
        sr_fc_scan "$targets"
    fi
    return 1
}

await_disk() {
    next_scan=$(($(sr_uptime) + 5)) # the kernel looks by itself first
    sr_wait_for "$(left)" "the disk ($wanted)" disk_seen && return
    sr_fc_disks "$targets" >&2
    _await_seen=$(sr_fc_disks "$targets" | tr '\n' ';')
    sr_fail "the target has no such disk for this node: $wanted" \
        "seen: ${_await_seen:-no disk}; does the target give this unit to $(sr_fc_own | tr '\n' ' ')(LUN masking)?"
}

# The other ports of wwpn: each that has the disk too is a path more.
all_paths() {
    disk_seen || return 1
    [ "$(printf '%s\n' "$paths" | wc -l)" -ge "$ports" ]
}

say_paths() {
    _say_absent=
    for _say_wwpn in $wwpns; do
        [ -n "$(sr_fc_paths "$(sr_fc_targets "$_say_wwpn")" "$SR_FC_LUN" "$wwid")" ] ||
            _say_absent="$_say_absent $_say_wwpn"
    done
    [ -z "$_say_absent" ] || sr_warn "no path to the disk by$_say_absent; going on without"
    printf '%s\n' "$paths" | while read -r _say_disk _say_port _say_unit _say_name; do
        sr_log "path: $SR_DEV/$_say_disk is unit $_say_unit of $_say_port ($_say_name)"
    done
    case $paths in
        *"
"*) grep -q ' multipath ' "$SR_HOME/runs" 2>/dev/null ||
            sr_warn "several paths lead to the disk, and one of them is used: the module multipath would use all" ;;
    esac
}

# Several units may fit when neither lun nor wwid is given; several paths must lead to one disk.
check_one() {
    _one_names=$(printf '%s\n' "$paths" | cut -d ' ' -f 4 | sort -u)
    case $_one_names in
        *"
"*) sr_fail "the ports of wwpn lead to different disks: $(printf '%s' "$_one_names" | tr '\n' ' ')" \
            "give the disk's own name as wwid, or the ports of one target alone" ;;
    esac
}

wwpns=
for name in ${SR_FC_WWPN:-}; do
    wwpns="${wwpns:+$wwpns }$(sr_fc_plain "$name")"
done
wwid=
[ -z "$SR_FC_WWID" ] || wwid=$(sr_fc_wwid "$SR_FC_WWID") ||
    sr_fail "wwid is no disk's name: $SR_FC_WWID" "write it as /sys/block/DISK/device/wwid has it: naa.6…"
[ -n "$wwpns$wwid" ] || sr_fail "no Fibre Channel target is named" \
    "give wwpn and lun, or wwid, under [block] in the cluster file"
wanted="${SR_FC_LUN:+unit $SR_FC_LUN}${wwid:+ $wwid}"
wanted=${wanted:-any unit}${wwpns:+ of $wwpns}
ports=0
for name in $wwpns; do
    ports=$((ports + 1))
done

deadline=$(($(sr_uptime) + SR_FC_TIMEOUT))
sr_modprobe
await_link
await_target
await_disk
[ "$ports" -lt 2 ] || sr_wait_for "$SR_FC_PATH_TIMEOUT" "the disk on all $ports ports" all_paths || :
check_one
say_paths
hold_on
disk=${paths%% *}
sr_hint "dmesg | tail says what the kernel thinks of $disk"
sr_wait_for 10 "the device node of $disk" test -e "$SR_DEV/$disk"
sr_put ROOT_DEVICE "$SR_DEV/$disk"
sr_log "the root's disk is $SR_DEV/$disk"
