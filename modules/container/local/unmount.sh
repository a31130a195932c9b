#!/bin/sh
# Take the node's own files off the root where the boot ended before the handover, and let go of the
# disk or the memory of its state.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=hooks/lib/hostfiles.sh
. "$SR_LIB/hostfiles.sh"

sr_hostfiles_undo "$SR_SYSROOT"
if grep -q " $SR_RUN/local/state " "$SR_PROC/self/mountinfo"; then
    sr_run -t 40 umount "$SR_RUN/local/state"
    sr_log "this node's state is unmounted"
fi
