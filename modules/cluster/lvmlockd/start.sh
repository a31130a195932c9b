#!/bin/sh
# Start LVM's lock daemon on the cluster's lock manager, join the locks of the root's volume group,
# and activate the root's logical volume as one that other nodes may have active too.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=hooks/lib/lvm.sh
. "$SR_LIB/lvm.sh"

answers() {
    sr_alive "$SR_ROOT/run/lvmlockd.pid" && "$SR_TIMEOUT" -k 5 10 lvmlockctl --info >/dev/null 2>&1
}

# The daemon looks for its lockspaces' devices where udev would have put links to them.
link_devices() {
    mkdir -p "$SR_DEV/misc"
    for _link_name in lvm_global "lvm_$vg"; do
        ln -sf "../dlm_$_link_name" "$SR_DEV/misc/dlm_$_link_name"
    done
}

sr_lvm_names
if [ "$(sr_lvm_lock_type)" = none ]; then
    sr_log "$vg is shared by nobody: it has no locks"
    exit 0
fi
mkdir -p "$SR_ROOT/run/lvm"
link_devices
if ! answers; then
    sr_survive lvmlockd --gl-type dlm --host-id "$(sr_get NODE_ID 1)" --pid-file "$SR_ROOT/run/lvmlockd.pid"
    sr_hint "see $SR_RUN/lvmlockd.log and lvmlockctl --dump"
    sr_wait_for 30 "lvmlockd to answer" answers
fi
sr_hint "lvmlockctl --info shows the lockspaces, dlm_tool ls the lock manager's; does the group's cluster name (lvm vgs -o +lock_args) equal this one's?"
printf '%s\n' "lvm vgchange --lock-start $vg" >"$SR_RUN/command"
SR_LVM_LIMIT=$SR_LVMLOCKD_TIMEOUT sr_lvm vgchange --lock-start --lock-opt wait "$vg" ||
    sr_fail "the locks of the volume group $vg could not be joined"
sr_lvm_activate sy
