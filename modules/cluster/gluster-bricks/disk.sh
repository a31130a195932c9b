#!/bin/sh
# Mount this node's disk on /gluster. glusterd's state lies there too, so that the node's uuid, its
# peers and volumes outlive the bootstrap; and the logs; and .left-clean while the disk is not in
# use, by which the next boot knows whether the brick may lack what the others have.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=hooks/lib/disk.sh
. "$SR_LIB/disk.sh"

point=$SR_ROOT/gluster

# keep DIRECTORY NAME: have DIRECTORY lie on the disk, as NAME. No link: it would not lead there for
# who looks in from the system above, whose root lies over this one.
keep() {
    mkdir -p "$point/$2" "$1"
    grep -q " $1 " "$SR_PROC/self/mountinfo" || sr_run mount -o bind "$point/$2" "$1"
}

if [ -z "$SR_GLUSTER_BRICKS_DEVICE" ]; then
    sr_log "no brick on this node"
    exit 0
fi
sr_modprobe
sr_disk_await "$SR_GLUSTER_BRICKS_DISK_TIMEOUT" "$SR_GLUSTER_BRICKS_DEVICE"
if ! grep -q " $point " "$SR_PROC/self/mountinfo"; then
    found=$("$SR_TIMEOUT" -k 5 20 blkid -p -o value -s TYPE "$device") || :
    case $found in
        ext4 | xfs) ;;
        *)
            sr_disk_list >&2
            sr_fail "there is no ext4 or xfs on $device, but ${found:-no file system that blkid knows}" \
                "is it the right disk (see above)? a new one is made with mkfs.xfs or mkfs.ext4, see docs/glusterfs.md"
            ;;
    esac
    sr_run -t 300 mount -t "$found" -o "$SR_GLUSTER_BRICKS_OPTIONS" "$device" "$point" || {
        dmesg | tail -n 6 | sr_printable
        sr_fail "$device could not be mounted on /gluster" \
            "what the kernel says stands above; options under [gluster-bricks] are $SR_GLUSTER_BRICKS_OPTIONS"
    }
    if [ -e "$point/.left-clean" ]; then
        rm "$point/.left-clean"
        sr_run -t 60 sync "$point"
    else
        sr_put GLUSTER_UNCLEAN 1
    fi
fi
keep "$SR_ROOT/var/lib/glusterd" glusterd
keep "$SR_ROOT/var/log/glusterfs" log
sr_put GLUSTER_BRICKS "$device"
sr_log "$device is mounted on /gluster"
