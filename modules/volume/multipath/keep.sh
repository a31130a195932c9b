#!/bin/sh
# Stay in the background for as long as the machine runs: tell multipathd of paths that come and
# go, and start it again should it be gone. It looks every few seconds at the kernel's list of disks
# instead of listening for its events: nothing can be lost that way, and a new path is in no hurry.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=modules/volume/multipath/paths.sh
. "${0%/*}/paths.sh"

look() {
    sr_path_scan
    if ! sr_alive "$SR_ROOT/run/multipathd.pid"; then
        sr_warn "multipathd is gone; starting it again"
        sr_try_survive multipathd || sr_warn "multipathd did not start"
    fi
}

keep() {
    paths_tell=1
    while :; do
        look
        # Nothing here ends but the time.
        "$SR_TIMEOUT" "$SR_MULTIPATH_POLLING_INTERVAL" tail -f /dev/null || :
    done
}

keep &
printf '%s\n' "$!" >"$SR_RUN/paths/pid"
