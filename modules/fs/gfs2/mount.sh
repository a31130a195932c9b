#!/bin/sh
# Mount the shared root on /sysroot, after a look at its superblock: GFS2 names the lock manager
# and the cluster that it belongs to there (include/uapi/linux/gfs2_ondisk.h, struct gfs2_sb).
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=hooks/lib/root.sh
. "$SR_LIB/root.sh"

# The superblock lies 64 KiB into the device; its magic number comes first, sb_lockproto 96 and
# sb_locktable 160 bytes in, each 64 bytes long and filled with zeros.
superblock=65536

# Print 64 bytes of text at the offset $1 of the superblock.
sb_text() {
    dd if="$device" bs=16 skip=$(((superblock + $1) / 16)) count=4 2>/dev/null |
        LC_ALL=C tr -cd 'A-Za-z0-9._:-'
}

sb_magic() {
    dd if="$device" bs=16 skip=$((superblock / 16)) count=1 2>/dev/null | od -An -tx1 | cut -c 1-12
}

check_superblock() {
    if [ "$(sb_magic | tr -d ' ')" != 01161970 ]; then
        sr_fail "there is no GFS2 file system on $device" \
            "is it the right disk? mkfs.gfs2 -p lock_dlm -t $cluster:NAME -j NODES $device makes one"
    fi
    _sb_proto=$(sb_text 96)
    _sb_table=$(sb_text 160)
    if [ "$_sb_proto" != lock_dlm ]; then
        sr_fail "the file system on $device uses the lock manager '$_sb_proto'; nodes that share it need lock_dlm" \
            "with every node down: tunegfs2 -o lockproto=lock_dlm,locktable=$cluster:NAME $device"
    fi
    if [ "${_sb_table%%:*}" != "$cluster" ]; then
        sr_fail "the file system on $device belongs to the cluster '${_sb_table%%:*}', this node to '$cluster'" \
            "correct the name in the cluster file, or with every node down: tunegfs2 -o locktable=$cluster:${_sb_table#*:} $device"
    fi
}

sr_root_device "$SR_GFS2_DEVICE"
cluster=$(sr_get CLUSTER_NAME '')
if [ -z "$cluster" ]; then
    sr_fail "this node belongs to no cluster" "build the site part from a cluster file"
fi
sr_modprobe
check_superblock

sr_hint "what the kernel said last stands above; dlm_tool status and corosync-quorumtool -s show the cluster"
options=$(sr_root_access)${SR_GFS2_OPTIONS:+,$SR_GFS2_OPTIONS}
sr_root_mount "$SR_GFS2_TIMEOUT" gfs2 "$device" "$options"
sr_log "its lock table is $(sb_text 160)"
