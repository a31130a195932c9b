# shellcheck shell=sh
# What the file systems of one machine (ext4, xfs, btrfs) have in common.
# shellcheck source=hooks/lib/root.sh
. "$SR_LIB/root.sh"

# sr_local_device TYPE DISK OVERLAY: set $device to the root's device as sr_root_device does, and
# see to it that a file system of TYPE (or one of `TYPE|TYPE`) is on it. With OVERLAY 1 nothing is
# ever written to it: the kernel is told so.
sr_local_device() {
    sr_root_device "$2"
    _local_found=$("$SR_TIMEOUT" -k 5 20 blkid -p -o value -s TYPE "$device") || :
    case "|$1|" in
        *"|$_local_found|"*) ;;
        *)
            sr_disk_list >&2
            [ "$_local_found" != crypto_LUKS ] ||
                sr_fail "$device is encrypted (LUKS)" \
                    "srbuild opens no encrypted disk: a node that boots unattended would carry the key in its image. Encrypt below the nodes, in the storage (docs/combinations.md)"
            sr_fail "there is no ${1##*|} on $device, but ${_local_found:-no file system that blkid knows}" \
                "is it the right disk (see above)? or choose the file system that is there: --fs"
            ;;
    esac
    if [ "$3" = 1 ]; then
        sr_modprobe overlay
        sr_run blockdev --setro "$device"
    fi
}

# sr_local_mount TYPE OPTIONS OVERLAY SECONDS: mount $device as the root.
sr_local_mount() {
    if [ "$3" = 1 ]; then
        sr_hint "with overlay nothing is written to the disk, not even an open journal: where it was not unmounted cleanly, one machine must mount it without overlay first"
        sr_root_mount "$4" "$1" "$device" "ro${2:+,$2}"
        sr_root_overlay
        sr_log "what is written on the root ends with this boot (overlay)"
    else
        sr_root_mount "$4" "$1" "$device" "$(sr_root_access)${2:+,$2}"
    fi
}
