# shellcheck shell=sh
# Mounting the shared root on $SR_SYSROOT, and letting go of it again: what every file system's
# module has in common.
# shellcheck source=hooks/lib/disk.sh
. "$SR_LIB/disk.sh"

# Print the value of the last of the kernel parameters ro and rw; rw when there is neither.
sr_root_access() {
    _access=rw
    while IFS= read -r _access_word; do
        case $_access_word in
            ro | rw) _access=$_access_word ;;
        esac
    done <"$SR_RUN/cmdline"
    printf '%s\n' "$_access"
}

# sr_root_device [DISK]: set $device to the device node of DISK, written in any form that disk.sh
# knows, or without it of what the block modules attached; wait for it.
sr_root_device() {
    device=${1:-$(sr_get ROOT_DEVICE '')}
    if [ -z "$device" ]; then
        sr_fail "no device is named for the root" "give device under [fs] in the cluster file, or root=/dev/…"
    fi
    sr_disk_await 30 "$device"
    # What follows the four letters is binary (LUKS on-disk format, 1.1 and 2).
    if [ "$(head -c 4 "$device" 2>/dev/null | tr -d '\0')" = LUKS ]; then
        sr_fail "$device is encrypted (LUKS), which srbuild does not open" \
            "a root that nodes share is not encrypted by them; see docs/lvm.md for what can be done in its place"
    fi
}

# sr_root_mount SECONDS TYPE SOURCE OPTIONS [COMMAND…]: mount the root, by `mount` or by COMMAND in
# its place; what the kernel says of it is shown when that fails.
sr_root_mount() {
    _mount_limit=$1 _mount_type=$2 _mount_source=$3 _mount_options=$4
    shift 4
    [ "$#" -gt 0 ] || set -- mount
    if ! sr_run -t "$_mount_limit" "$@" -t "$_mount_type" -o "$_mount_options" "$_mount_source" "$SR_SYSROOT"; then
        dmesg | tail -n 6 | sr_printable
        sr_fail "$_mount_source could not be mounted as $_mount_type with the options $_mount_options"
    fi
    sr_log "$_mount_source is mounted as $_mount_type, $_mount_options"
}

# sr_root_overlay: put a file system in memory over the read-only root, so that what is written
# there ends with the boot. The root itself stays mounted at $SR_RUN/overlay/lower.
sr_root_overlay() {
    _overlay=$SR_RUN/overlay
    mkdir -p "$_overlay/lower" "$_overlay/upper"
    sr_run mount -t tmpfs -o mode=0755 srbuild "$_overlay/upper"
    mkdir "$_overlay/upper/data" "$_overlay/upper/work"
    sr_run mount -o move "$SR_SYSROOT" "$_overlay/lower"
    sr_root_mount 30 overlay overlay \
        "lowerdir=$_overlay/lower,upperdir=$_overlay/upper/data,workdir=$_overlay/upper/work"
}

# Unmount the root where the boot put it, overlay and all. After a shutdown it is unmounted
# already; this is for a boot that ends before the handover.
sr_root_unmount() {
    for _unmount_point in "$SR_SYSROOT" "$SR_RUN/overlay/lower" "$SR_RUN/overlay/upper"; do
        grep -q " $_unmount_point " "$SR_PROC/self/mountinfo" || continue
        sr_run -t 40 umount "$_unmount_point"
        sr_log "$_unmount_point is unmounted"
    done
}

# The same for a root whose server may be gone for good: what cannot be unmounted is let go of.
sr_root_let_go() {
    for _unmount_point in "$SR_SYSROOT" "$SR_RUN/overlay/lower" "$SR_RUN/overlay/upper"; do
        for _unmount_how in '' -f -l; do
            grep -q " $_unmount_point " "$SR_PROC/self/mountinfo" || continue 2
            if sr_run -t 10 umount ${_unmount_how:+"$_unmount_how"} "$_unmount_point"; then
                sr_log "$_unmount_point is unmounted"
            else
                sr_warn "umount $_unmount_how of $_unmount_point failed"
            fi
        done
    done
}
