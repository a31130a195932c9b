#!/bin/sh
# Unmount the shared root where the boot put it. After a shutdown it is unmounted already; this is
# for a boot that ends before the handover.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"

grep -q " $SR_SYSROOT " "$SR_PROC/self/mountinfo" || exit 0
sr_run -t 40 umount "$SR_SYSROOT"
sr_log "the shared root is unmounted"
