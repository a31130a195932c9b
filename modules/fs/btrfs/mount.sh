#!/bin/sh
# Mount the root's Btrfs file system on /sysroot. The kernel must have seen all its devices first.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=hooks/lib/local.sh
. "$SR_LIB/local.sh"

sr_modprobe
sr_local_device btrfs "$SR_BTRFS_DEVICE" "$SR_BTRFS_OVERLAY"
sr_run btrfs device scan
sr_hint "what the kernel said last stands above; are all its devices there? btrfs filesystem show"
sr_local_mount btrfs "$SR_BTRFS_OPTIONS" "$SR_BTRFS_OVERLAY" "$SR_BTRFS_TIMEOUT"
