#!/bin/sh
# Leave the cluster: stop a global heartbeat (a local one ended with the unmount), forget the nodes.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"

name=$(sr_get CLUSTER_NAME '')
[ -n "$name" ] && [ -d "$SR_SYS/kernel/config/cluster/$name" ] || exit 0
if [ -n "$SR_O2CB_HEARTBEAT_DEVICE" ]; then
    sr_run -t 20 o2cb stop-heartbeat "$name" || sr_warn "the heartbeat did not stop: is a volume still mounted?"
fi
sr_run -t 20 o2cb unregister-cluster "$name"
sr_log "this node has left the cluster"
