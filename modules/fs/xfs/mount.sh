#!/bin/sh
# Mount the root's XFS file system on /sysroot. The mount itself replays its journal; what that
# can't put right is for xfs_repair and a person.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=hooks/lib/local.sh
. "$SR_LIB/local.sh"

sr_local_device xfs "$SR_XFS_DEVICE" "$SR_XFS_OVERLAY"
sr_modprobe
sr_hint "what the kernel said last stands above; xfs_repair $device repairs what the journal can't"
sr_local_mount xfs "$SR_XFS_OPTIONS" "$SR_XFS_OVERLAY" "$SR_XFS_TIMEOUT"
