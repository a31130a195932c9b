#!/bin/sh
# Mount the shared root on /sysroot, after a look at its superblock, which names the cluster that
# it belongs to, how that beats, and how many nodes it has room for (fs/ocfs2/ocfs2_fs.h,
# struct ocfs2_dinode and struct ocfs2_super_block; little endian).
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=hooks/lib/root.sh
. "$SR_LIB/root.sh"

# Features of the field s_feature_incompat.
local_mount=8
user_stack=128
cluster_info=16384

# Set $superblock to where it lies: the second block, of 512 to 4096 bytes.
find_superblock() {
    for _find_size in 512 1024 2048 4096; do
        superblock=$((2 * _find_size))
        [ "$(sb_text 0 6)" != OCFSV2 ] || return 0
    done
    return 1
}

# Print COUNT ($2) bytes at the offset $1 of the superblock.
sb_bytes() {
    dd if="$device" bs=512 skip=$((superblock / 512)) count=1 2>/dev/null |
        tail -c +$(($1 + 1)) | head -c "$2"
}

sb_text() {
    sb_bytes "$1" "$2" | LC_ALL=C tr -cd 'A-Za-z0-9._:-'
}

# Print the unsigned number of $2 bytes at the offset $1.
sb_number() {
    sb_bytes "$1" "$2" | od -An -v -tu1 | awk '
        { for (i = 1; i <= NF; i++) { value += $i * scale; scale *= 256 } }
        BEGIN { scale = 1 }
        END { print value + 0 }'
}

has_feature() {
    [ $((features / $1 % 2)) -eq 1 ]
}

check_cluster() {
    if has_feature "$user_stack"; then
        _check_stack=$(sb_text 352 4)
        [ "$_check_stack" = "$stack" ] ||
            sr_fail "the file system on $device belongs to the cluster stack '$_check_stack', this node to '$stack'" \
                "build the image for that stack (see docs/ocfs2.md), or with every node down: tunefs.ocfs2 --update-cluster-stack $device"
    elif [ "$stack" != o2cb ]; then
        sr_fail "the file system on $device belongs to the cluster stack 'o2cb', this node to '$stack'" \
            "build the image for that stack (see docs/ocfs2.md), or with every node down: tunefs.ocfs2 --update-cluster-stack $device"
    fi
    # Older file systems of the stack o2cb don't name their cluster.
    has_feature "$user_stack" || has_feature "$cluster_info" || return 0
    _check_name=$(sb_text 360 16)
    [ "$_check_name" = "$cluster" ] ||
        sr_fail "the file system on $device belongs to the cluster '$_check_name', this node to '$cluster'" \
            "correct the name in the cluster file, or with every node down: tunefs.ocfs2 --update-cluster-stack $device"
    [ "$stack" = o2cb ] || return 0
    _check_beat=local
    [ $(($(sb_number 356 1) % 2)) -eq 0 ] || _check_beat=global
    _check_want=local
    [ -z "${SR_O2CB_HEARTBEAT_DEVICE:-}" ] || _check_want=global
    [ "$_check_beat" = "$_check_want" ] ||
        sr_fail "the file system on $device was made for a $_check_beat heartbeat, this cluster has a $_check_want one" \
            "correct heartbeat_device under [o2cb] in the cluster file, or with every node down: tunefs.ocfs2 --update-cluster-stack $device"
}

check_superblock() {
    if ! find_superblock; then
        sr_fail "there is no OCFS2 file system on $device" \
            "is it the right disk? mkfs.ocfs2 --cluster-stack=$stack --cluster-name=$cluster -N NODES $device makes one"
    fi
    features=$(sb_number 224 4)
    nodes=$(wc -l <"$SR_ETC/nodes")
    if has_feature "$local_mount"; then
        [ "$nodes" -eq 1 ] || sr_fail "the file system on $device was made for one machine (mkfs.ocfs2 -M local)" \
            "with no node up: tunefs.ocfs2 -M cluster $device"
        return 0
    fi
    check_cluster
    slots=$(sb_number 256 2)
    if [ "$nodes" -gt "$slots" ]; then
        sr_fail "the file system on $device has room for $slots nodes, the cluster has $nodes" \
            "with no node up: tunefs.ocfs2 -N $nodes $device"
    fi
}

cluster=$(sr_get CLUSTER_NAME '')
if [ -z "$cluster" ]; then
    sr_fail "this node belongs to no cluster" "build the site part from a cluster file"
fi
stack=$(sr_get OCFS2_STACK o2cb)
sr_root_device "$SR_OCFS2_DEVICE"
sr_modprobe
check_superblock

sr_hint "what the kernel said last stands above; can the nodes reach each other? all must have the same [o2cb] values"
options=$(sr_root_access)${SR_OCFS2_OPTIONS:+,$SR_OCFS2_OPTIONS}
if [ "$stack" = o2cb ]; then
    # mount.ocfs2 begins the heartbeat, which takes some seconds.
    sr_root_mount "$SR_OCFS2_TIMEOUT" ocfs2 "$device" "$options" mount.ocfs2 -n
else
    # It would look for ocfs2_controld, which the kernel does without.
    sr_root_mount "$SR_OCFS2_TIMEOUT" ocfs2 "$device" "$options,cluster_stack=$stack" mount -i
fi
sr_log "it belongs to the cluster $cluster and has room for ${slots:-1} nodes"
