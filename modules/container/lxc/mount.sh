#!/bin/sh
# LXC calls this in the container's namespaces, when all its mounts are made and before its init runs:
# is everything that belongs to the node in place? Otherwise the container does not start.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=hooks/lib/hostfiles.sh
. "$SR_LIB/hostfiles.sh"

[ ! -e "$SR_RUN/lxc/keeps" ] || sr_hostfiles_keep "$LXC_ROOTFS_MOUNT/run"
sr_hostfiles_check "$LXC_ROOTFS_MOUNT"
