#!/bin/sh
# Mount the shared root from a GFS (1), after a look at its superblock. It has the magic number of
# GFS2's, at the same place, and another format (gfs_ondisk.h: sb_fs_format 1309; GFS2's from 1801).
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=hooks/lib/root.sh
. "$SR_LIB/root.sh"

superblock=65536
format=1309

# Print $2 bytes at the offset $1 of the superblock in hexadecimal.
sb_hex() {
    dd if="$device" bs=512 skip=$((superblock / 512)) count=1 2>/dev/null |
        tail -c +$(($1 + 1)) | head -c "$2" | od -An -v -tx1 | tr -d ' \n'
}

sb_text() {
    dd if="$device" bs=16 skip=$(((superblock + $1) / 16)) count=4 2>/dev/null |
        LC_ALL=C tr -cd 'A-Za-z0-9._:-'
}

check_superblock() {
    [ "$(sb_hex 0 4)" = 01161970 ] || sr_fail "there is no GFS on $device" "is it the right disk?"
    _sb_format=$((0x$(sb_hex 24 4)))
    [ "$_sb_format" -eq "$format" ] || sr_fail "the file system on $device is a GFS2 already (format $_sb_format)" \
        "build the image with --fs gfs2"
    _sb_proto=$(sb_text 96)
    _sb_table=$(sb_text 160)
    [ "$_sb_proto" = lock_dlm ] || sr_fail "the file system on $device uses the lock manager '$_sb_proto', not lock_dlm" \
        "with every node down: gfs_tool sb $device proto lock_dlm"
    [ "${_sb_table%%:*}" = "$cluster" ] ||
        sr_fail "the file system on $device belongs to the cluster '${_sb_table%%:*}', this node to '$cluster'" \
            "correct the name, or with every node down: gfs_tool sb $device table $cluster:${_sb_table#*:}"
}

cluster=$(sr_get CLUSTER_NAME '')
[ -n "$cluster" ] || sr_fail "this node belongs to no cluster" "build the site part from a cluster file"
sr_root_device "$SR_GFS_DEVICE"
sr_modprobe
check_superblock
sr_hint "what the kernel said last stands above; cman_tool services shows the cluster"
# mount.gfs asks gfs_controld for the node's journal.
sr_root_mount "$SR_GFS_TIMEOUT" gfs "$device" "$(sr_root_access)${SR_GFS_OPTIONS:+,$SR_GFS_OPTIONS}"
