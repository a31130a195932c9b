#!/bin/sh
# Check the root's ext4 file system and mount it on /sysroot.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=hooks/lib/local.sh
. "$SR_LIB/local.sh"

# Would `e2fsck -p` do nothing? It looks at the superblock alone when the file system was unmounted
# cleanly, has no errors and no journal to replay, and is not due by its count of mounts or by its
# date (check_if_skip in e2fsck/unix.c; fields: Documentation/filesystems/ext4/super.rst). Any doubt
# is an answer of no.
nothing_to_check() {
    # Little-endian 16-bit numbers, eight a line, from byte 1024 on.
    od -An -v -tu2 -j1024 -N112 "$device" 2>/dev/null | awk -v now="$(date +%s)" '
        { for (i = 1; i <= NF; i++) field[count++] = $i }
        function at(byte) { return field[byte / 2] }
        function long(byte) { return at(byte) + at(byte + 2) * 65536 }
        END {
            magic = at(56); state = at(58); mounts = at(52); most = at(54)
            checked = long(64); interval = long(68); incompatible = at(96)
            if (count != 56 || magic != 61267 || state != 1 || int(incompatible / 4) % 2)
                exit 1
            if (most > 0 && most < 32768 && mounts >= most)
                exit 1
            exit (interval > 0 && (now < checked || now - checked >= interval))
        }'
}

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
if [ "$SR_EXT4_CHECK" = auto ] && [ "$SR_EXT4_OVERLAY" = 0 ] && ! nothing_to_check; then
    check
fi
sr_local_mount ext4 "$SR_EXT4_OPTIONS" "$SR_EXT4_OVERLAY" "$SR_EXT4_TIMEOUT"
