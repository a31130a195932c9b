#!/bin/sh
# Leave the cluster: tell the others, so that they need not wait for a token that never comes.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
slice=$SR_PROC/sys/kernel/sched_rt_runtime_us

running() {
    pidof corosync >/dev/null
}

stopped() {
    ! running
}

end_by() {
    pidof corosync | xargs kill "$1" || :
    sr_wait_for 5 "the end of corosync" stopped
}

running || exit 0
# Its threads run before all else (SCHED_RR). On a machine short of time they did not let the rest come
# to run while it left, for half a minute, until the watchdog ended that: half of each second is enough.
[ ! -w "$slice" ] || echo 500000 >"$slice"
sr_run -t 15 corosync-cfgtool -H >/dev/null || sr_warn "corosync did not take leave"
sr_wait_for 5 "the end of corosync" stopped || end_by -TERM || end_by -KILL ||
    sr_fail "corosync does not end" "is the machine out of memory, or its disk gone?"
sr_log "this node has left the cluster"
