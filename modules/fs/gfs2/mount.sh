#!/bin/sh
# Mount the shared root on /sysroot, after a look at its superblock: GFS2 names the lock manager
# and the cluster that it belongs to there (include/uapi/linux/gfs2_ondisk.h, struct gfs2_sb).
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=hooks/lib/root.sh
. "$SR_LIB/root.sh"
# shellcheck source=modules/fs/gfs2/disk.sh
. "${0%/*}/disk.sh"

check_superblock() {
    if [ "$(sb_magic "$device")" != 01161970 ]; then
        sr_fail "there is no GFS2 file system on $device" \
            "is it the right disk? mkfs.gfs2 -p lock_dlm -t $cluster:NAME -j NODES $device makes one"
    fi
    # A repair alone asks no lock manager.
    [ -z "$alone" ] || return 0
    _sb_proto=$(sb_text "$device" 96)
    _sb_table=$(sb_text "$device" 160)
    if [ "$_sb_proto" != lock_dlm ]; then
        sr_fail "the file system on $device uses the lock manager '$_sb_proto'; nodes that share it need lock_dlm" \
            "with every node down: tunegfs2 -o lockproto=lock_dlm,locktable=$cluster:NAME $device"
    fi
    if [ "${_sb_table%%:*}" != "$cluster" ]; then
        sr_fail "the file system on $device belongs to the cluster '${_sb_table%%:*}', this node to '$cluster'" \
            "correct the name in the cluster file, or with every node down: tunegfs2 -o locktable=$cluster:${_sb_table#*:} $device"
    fi
}

# Every node that has the root mounted at the same time needs a journal.
check_journals() {
    nodes=$(grep -c '^[^#]' "$SR_ETC/nodes") || nodes=0
    journals=$(count_journals "$device") || {
        sr_warn "the journals on $device could not be counted"
        journals=$nodes
    }
    if [ "$journals" -lt "$nodes" ]; then
        short="the file system has $journals journals, and $nodes nodes are to mount it"
        more="on a node that has it mounted: gfs2_jadd -j $((nodes - journals)) its mount point"
        sr_warn "$short; $more"
        sr_hint "all journals may be in use: $short. More of them: $more"
    fi
}

# Without the cluster: what is on the disk may say lock_dlm, the mount option goes before it. As
# `spectator` the kernel writes nothing and refuses a file system with a journal in use.
mount_alone() {
    options=lockproto=lock_nolock
    if [ "$1" = ro ]; then
        options=ro,spectator,$options
        sr_hint "another node may have it mounted, or one crashed and its journal is not replayed; rd.srb.gfs2.repair=rw replays it, once every other node is off. dmesg has the kernel's words"
    else
        options=rw,$options
        sr_hint "fsck.gfs2 -y $device, with every other node off, repairs it; dmesg has the kernel's words"
    fi
    sr_root_mount "$SR_GFS2_TIMEOUT" gfs2 "$device" "$options"
    sr_warn "REPAIR: the shared root is mounted without locks; no other node may mount it before this one has left"
}

sr_root_device "$SR_GFS2_DEVICE"
cluster=$(sr_get CLUSTER_NAME '')
if [ -z "$cluster" ]; then
    sr_fail "this node belongs to no cluster" "build the site part from a cluster file"
fi
sr_modprobe
alone=$(sr_get ALONE '')
check_superblock
if [ -n "$alone" ]; then
    mount_alone "$alone"
    exit 0
fi

sr_hint "what the kernel said last stands above; dlm_tool status and corosync-quorumtool -s show the cluster"
check_journals
options=$(sr_root_access)${SR_GFS2_OPTIONS:+,$SR_GFS2_OPTIONS}
sr_root_mount "$SR_GFS2_TIMEOUT" gfs2 "$device" "$options"
sr_log "its lock table is $(sb_text "$device" 160)"
