#!/bin/sh
# Open a VMware datastore and mount the root that is in it: a directory, or a disk image. Nothing
# is ever written to its disks; what the node writes goes to memory. The numbers below are little
# endian, and where they stand is known from vmfs-tools (libvmfs/vmfs_volume.h): VMware has
# published no format.
set -eu
set -f # extents are words; none of them is a pattern
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=hooks/lib/root.sh
. "$SR_LIB/root.sh"

datastore=$SR_RUN/vmfs
header=1048576 # of each extent; what tells of all of them follows 512 bytes on

# Print $2 bytes at the offset $1 of the header on $device, as they are.
header_bytes() {
    dd if="$device" bs=512 skip=$(((header + $1) / 512)) count=1 2>/dev/null |
        tail -c +$(($1 % 512 + 1)) | head -c "$2"
}

header_hex() {
    header_bytes "$1" "$2" | od -An -v -tx1 | tr -d ' \n'
}

header_number() {
    header_bytes "$1" 4 | od -An -v -tu1 | awk '{ print $1 + 256 * ($2 + 256 * ($3 + 256 * $4)) }'
}

# --- the datastore ----------------------------------------------------------------------------

# take_extent DISK [DEVICE…]: take a disk as an extent besides those DEVICEs: $device, $version.
take_extent() {
    sr_root_device "$1"
    shift
    if [ "$(header_hex 0 4)" != 0dd001c0 ]; then
        sr_disk_list >&2
        sr_fail "there is no VMFS on $device" \
            "is it the right disk (see above)? a datastore mostly is on the disk's first partition"
    fi
    version=$(header_number 4)
    # The volume that all extents belong to, and of how many it consists.
    _take_volume=$(header_hex $((512 + 84)) 16)
    _take_total=$(header_number $((512 + 144)))
    if [ "$#" -eq 0 ]; then
        volume=$_take_volume total=$_take_total
    elif [ "$_take_volume" != "$volume" ]; then
        sr_fail "$device belongs to another datastore than $*" "correct device under [fs]"
    fi
    case " $* " in
        *" $device "*) sr_fail "$device is named twice" "name each extent once, under [fs]" ;;
    esac
    sr_run blockdev --setro "$device"
}

# choose_tool DEVICE…: set $tool to the program that reads the datastore's version of VMFS.
choose_tool() {
    [ "$SR_VMFS_VERSION" = auto ] || version=$SR_VMFS_VERSION
    case $version in
        3 | 5)
            tool=vmfs-fuse
            # With one missing, it would begin and then fail to read some files.
            [ "$#" -eq "$total" ] ||
                sr_fail "the datastore consists of $total extents, $# are named: $*" \
                    "name the disks of all of them: device = [\"…\", \"…\"] under [fs]"
            ;;
        6) tool=vmfs6-fuse ;;
        *) sr_fail "VMFS $version on $* can't be read" "vmfs-fuse reads VMFS 3 and 5, vmfs6-fuse VMFS 6" ;;
    esac
}

is_open() {
    grep -q " $datastore fuse" "$SR_PROC/self/mounts"
}

# open_datastore DEVICE…
open_datastore() {
    mkdir -p "$datastore"
    is_open && return 0
    # suid and dev: what a directory in it would lose as a root. No option makes the program
    # write, but ro keeps the kernel from asking it to.
    SR_SURVIVE_LIMIT=$SR_VMFS_TIMEOUT
    sr_survive "$tool" -o ro,allow_other,suid,dev "$@" "$datastore"
    if ! is_open; then
        tail -n 6 "$SR_RUN/$tool.log" | sr_printable >&2
        sr_fail "$tool ended without mounting $*" "what it said stands above"
    fi
    sr_log "the datastore on $*, VMFS $version, is open"
}

# --- the root in it ---------------------------------------------------------------------------

# Say why the file $inside is no disk image that can be mounted, if that can be seen.
check_image() {
    case $(dd if="$inside" bs=21 count=1 2>/dev/null | LC_ALL=C tr -cd ' -~') in
        '# Disk DescriptorFile')
            _check_flat=$(sed -n 's/^RW .*"\(.*\)".*/\1/p' "$inside" | head -n 1 | sr_printable)
            sr_fail "$SR_VMFS_PATH only describes a disk" "name the file that holds it${_check_flat:+: $_check_flat}"
            ;;
        COWD* | KDMV*)
            sr_fail "$SR_VMFS_PATH is a snapshot or a sparse disk, which only VMware can read" \
                "on an ESX host: vmkfstools -i FILE.vmdk NEW.vmdk makes a whole copy"
            ;;
    esac
}

mount_image() {
    check_image
    loop=$(sr_run losetup -f)
    sr_run losetup -r -P "$loop" "$inside"
    sr_put VMFS_LOOP "$loop"
    device=$loop
    if [ "$SR_VMFS_PARTITION" -gt 0 ]; then
        device=${loop}p$SR_VMFS_PARTITION
        sr_hint "partition = 0 under [fs] is for an image without partitions"
        sr_wait_for 10 "partition $SR_VMFS_PARTITION of $SR_VMFS_PATH" [ -b "$device" ]
    fi
    type=$("$SR_TIMEOUT" -k 5 20 blkid -p -o value -s TYPE "$device") || :
    [ -n "$type" ] || sr_fail "there is no file system in $SR_VMFS_PATH that blkid knows" \
        "if it has partitions, say which one is the root: partition = 1 under [fs]"
    sr_hint "an image that was not unmounted cleanly can't be repaired here: options = \"noload\" (ext4) or \"norecovery\" (xfs) mounts it as it is"
    sr_root_mount "$SR_VMFS_TIMEOUT" "$type" "$device" "ro${SR_VMFS_OPTIONS:+,$SR_VMFS_OPTIONS}"
}

sr_modprobe
for name in ${SR_VMFS_DEVICE:-"$(sr_get ROOT_DEVICE '')"}; do
    take_extent "$name" "$@"
    set -- "$@" "$device"
done
choose_tool "$@"
open_datastore "$@"
inside=$datastore$SR_VMFS_PATH
if [ -d "$inside" ]; then
    sr_run mount -o bind "$inside" "$SR_SYSROOT"
elif [ -f "$inside" ]; then
    mount_image
else
    "$SR_TIMEOUT" -k 5 10 ls "$datastore" | sr_printable >&2 || :
    sr_fail "there is no $SR_VMFS_PATH in the datastore" "what it has at its top stands above: correct path under [fs]"
fi
sr_root_overlay
sr_log "what is written on the root ends with this boot (overlay)"
