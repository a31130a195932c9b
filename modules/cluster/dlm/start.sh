#!/bin/sh
# Start the lock manager's daemon and wait until it is part of the quorate cluster.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"

joined() {
    "$SR_TIMEOUT" -k 5 10 dlm_tool status 2>/dev/null | grep -q 'quorate 1'
}

has_devices() {
    [ -c "$SR_DEV/dlm-control" ] && [ -c "$SR_DEV/dlm-monitor" ] && [ -c "$SR_DEV/dlm_plock" ]
}

# A repair without the cluster (see the module gfs2) takes no part in it.
[ -z "$(sr_get ALONE '')" ] || exit 0

sr_modprobe
if [ ! -d "$SR_SYS/kernel/config/dlm" ]; then
    sr_run mount -t configfs configfs "$SR_SYS/kernel/config"
fi
sr_wait_for 10 "the lock manager's devices" has_devices
# dlm_controld looks for them where udev would have put links to them; without, it dies ten
# seconds later and the mount says "Transport endpoint is not connected".
mkdir -p "$SR_DEV/misc"
for device in dlm-control dlm-monitor dlm_plock; do
    ln -sf "../$device" "$SR_DEV/misc/$device"
done

if ! joined; then
    sr_hint "see /var/log/dlm_controld/dlm_controld.log"
    sr_survive dlm_controld
    sr_wait_for "$SR_DLM_TIMEOUT" "dlm_controld to join the cluster" joined
fi
sr_log "the lock manager is up"
