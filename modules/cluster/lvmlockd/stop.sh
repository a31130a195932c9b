#!/bin/sh
# Let go of the root's logical volume, leave the locks of its group and end LVM's lock daemon.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=hooks/lib/lvm.sh
. "$SR_LIB/lvm.sh"

pidfile=$SR_ROOT/run/lvmlockd.pid
sr_alive "$pidfile" || exit 0
sr_lvm_names
sr_lvm_deactivate
sr_lvm vgchange --lock-stop "$vg" || sr_warn "the locks of $vg could not be left"
"$SR_TIMEOUT" -k 5 20 lvmlockctl --stop-lockspaces || :
sr_stop "$pidfile" 15
sr_log "the locks of $vg are left"
