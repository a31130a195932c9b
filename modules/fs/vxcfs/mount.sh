#!/bin/sh
# Mount the shared root from a volume of the cluster, as a cluster mount: VxFS takes its locks from
# GLM, and vxfsckd replays the journal of a node that is gone.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=hooks/lib/root.sh
. "$SR_LIB/root.sh"

group=$SR_VXCFS_DISKGROUP
volume=$SR_DEV/vx/dsk/$group/$SR_VXCFS_VOLUME

has_group() {
    "$SR_TIMEOUT" -k 5 30 vxdg list 2>/dev/null | awk -v group="$group" '
        $1 == group && $2 ~ /shared/ { found = 1 } END { exit !found }'
}

sr_hint "vxdg list shows the disk groups, vxdisk -o alldgs list the disks: is $group a shared one (vxdg -s import)?"
# The cluster's master imports the shared groups when it starts.
sr_wait_for "$SR_VXCFS_TIMEOUT" "the shared disk group $group" has_group ||
    sr_fail "no shared disk group $group was imported within $SR_VXCFS_TIMEOUT s"
sr_run -t "$SR_VXCFS_TIMEOUT" vxvol -g "$group" startall
sr_wait_for "$SR_VXCFS_TIMEOUT" "the volume $volume" [ -b "$volume" ] ||
    sr_fail "the disk group $group has no volume $SR_VXCFS_VOLUME" "vxprint -g $group shows those that it has"

sr_modprobe
sr_hint "what was said last stands above; is the file system's licence one for clusters?"
PATH=$PATH:$SR_ROOT/opt/VRTS/bin:$SR_ROOT/opt/VRTSvxfs/sbin
sr_survive vxfsckd
sr_run -t 60 fsclustadm -v cfsinit
options=cluster,$(sr_root_access)${SR_VXCFS_OPTIONS:+,$SR_VXCFS_OPTIONS}
sr_root_mount "$SR_VXCFS_TIMEOUT" vxfs "$volume" "$options"
