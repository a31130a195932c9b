#!/bin/sh
# Leave the cluster: tell the others, so that they need not wait for a token that never comes.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"

running() {
    pidof corosync >/dev/null
}

stopped() {
    ! running
}

running || exit 0
sr_run -t 15 corosync-cfgtool -H >/dev/null || sr_warn "corosync did not take leave"
if ! sr_wait_for 10 "the end of corosync" stopped; then
    pidof corosync | xargs kill -TERM || :
    sr_wait_for 10 "the end of corosync" stopped
fi
sr_log "this node has left the cluster"
