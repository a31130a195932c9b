#!/bin/sh
# Check that the shared root can take the machine over, and ask PID 1 to let it. What is wrong
# here would be a kernel panic a moment later.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=hooks/lib/newroot.sh
. "$SR_LIB/newroot.sh"
# shellcheck source=hooks/lib/hostfiles.sh
. "$SR_LIB/hostfiles.sh"

wanted=$SR_NONE_INIT
sr_newroot_check "$wanted"
sr_hostfiles_apply "$SR_SYSROOT"
! sr_root_has_systemd || sr_hostfiles_keep "$SR_ROOT/run"
printf '%s\n' "$wanted" >"$SR_RUN/handover.new"
mv "$SR_RUN/handover.new" "$SR_RUN/handover"
sr_log "$wanted will take over"
