#!/bin/sh
# Start corosync and wait until this node's part of the cluster has quorum.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"

conf=$SR_ROOT/etc/corosync/corosync.conf
log=$SR_ROOT/var/log/corosync/corosync.log

status() {
    "$SR_TIMEOUT" -k 5 10 corosync-quorumtool -s 2>/dev/null
}

answers() {
    status | grep -q '^Expected votes:'
}

quorate() {
    status | grep -q '^Quorate: *Yes'
}

# Are all nodes of the cluster there?
complete() {
    status | awk '
        /^Expected votes:/ { expected = $3 }
        /^Total votes:/ { total = $3 }
        END { exit !(expected > 0 && total >= expected) }'
}

# A repair without the cluster (see the module gfs2) takes no part in it.
[ -z "$(sr_get ALONE '')" ] || exit 0

mkdir -p "$SR_ROOT/var/lib/corosync" "${log%/*}"
if ! answers; then
    sr_hint "see $log"
    sr_survive corosync
    sr_wait_for 30 "corosync to answer" answers
fi

# The file says what holds, whether it was chosen or follows from the number of nodes.
if grep -q '^ *wait_for_all: 1$' "$conf"; then
    sr_hint "are the other nodes up, and reachable from here? corosync-quorumtool -s shows who is there. To go on without a node that is REALLY off: corosync-cmapctl -s quorum.cancel_wait_for_all u8 1"
    sr_wait_for "$SR_COROSYNC_QUORUM_TIMEOUT" "quorum (every node of the cluster must come once)" quorate
else
    if [ "$SR_COROSYNC_ABSENT_TIMEOUT" -gt 0 ] &&
        ! sr_wait_for "$SR_COROSYNC_ABSENT_TIMEOUT" "the other nodes" complete; then
        sr_warn "going on without the absent nodes (wait_for_all = false)"
    fi
    sr_hint "more than half of the cluster's nodes must be up; corosync-quorumtool -s shows who is there"
    sr_wait_for "$SR_COROSYNC_QUORUM_TIMEOUT" "quorum (the majority of the nodes)" quorate
fi
sr_log "quorate: $(status | awk '/^Total votes:/ { total = $3 } /^Expected votes:/ { expected = $3 } END { print total " of " expected " votes" }')"
