#!/bin/sh
# Check the root's ext4 file system and mount it on /sysroot.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=hooks/lib/local.sh
. "$SR_LIB/local.sh"

# e2fsck(8): 1: repaired; 2: repaired, and a mounted one would need a reboot; 4 and more: not.
check() {
    status=0
    sr_run -t 3000 e2fsck -p "$device" || status=$?
    [ "$status" -lt 4 ] || sr_fail "the file system on $device is damaged (e2fsck status $status)" \
        "e2fsck $device asks about each repair; rd.srb.ext4.check=never mounts it as it is"
    [ "$status" -eq 0 ] || sr_warn "the file system on $device was repaired"
}

sr_local_device "ext2|ext3|ext4" "$SR_EXT4_DEVICE" "$SR_EXT4_OVERLAY"
sr_modprobe
if [ "$SR_EXT4_CHECK" = auto ] && [ "$SR_EXT4_OVERLAY" = 0 ]; then
    check
fi
sr_local_mount ext4 "$SR_EXT4_OPTIONS" "$SR_EXT4_OVERLAY" "$SR_EXT4_TIMEOUT"
