#!/bin/sh
# Let go of the shared root: what handover.sh bound, before the file system's module unmounts it.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=modules/container/openvz/common.sh
. "${0%/*}/common.sh"

[ -d "$vz" ] || exit 0
[ ! -d "$tracing" ] || rmdir "$tracing" || :
if [ -s "$vz/pivot" ]; then
    # All that is mounted in it goes with it; a mount that is busy goes when its user does.
    sr_run chroot "$SR_ROOT/.." umount -l /
    rm -f "$vz/pivot"
fi
for point in "$SR_ROOT$ct_root" "$SR_ROOT$private"; do
    grep -q " $point " "$SR_PROC/self/mountinfo" || continue
    sr_run umount "$point" || sr_run umount -l "$point"
done
