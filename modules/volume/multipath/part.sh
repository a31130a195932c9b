#!/bin/sh
# Take the joined disks apart again and end multipathd.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=modules/volume/multipath/paths.sh
. "${0%/*}/paths.sh"

export DM_DISABLE_UDEV=1
if [ -s "$SR_RUN/paths/pid" ]; then
    sr_stop "$SR_RUN/paths/pid" 10
fi
sr_stop "$SR_ROOT/run/multipathd.pid" 15
for map in $(sr_path_maps); do
    # What waits for a path that never comes must fail now, or nothing could be closed.
    sr_run dmsetup message "$map" 0 fail_if_no_path || :
    sr_run kpartx -d -p -part "$map" || sr_warn "the partitions of $map are still in use"
    sr_run -t 15 dmsetup remove --retry "${map##*/}" || sr_warn "$map is still in use"
done
sr_log "the paths are apart"
