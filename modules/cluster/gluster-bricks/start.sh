#!/bin/sh
# Start glusterd, which starts the bricks and the self-heal daemon, and wait for its peers.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"

log=$SR_ROOT/var/log/glusterfs/glusterd.log
state=$SR_ROOT/var/lib/glusterd

# Print the peers, one a line: UUID, name, state; not this node itself.
peers() {
    "$SR_TIMEOUT" -k 5 20 gluster --mode=script pool list 2>/dev/null | awk 'NR > 1 && $2 != "localhost"'
}

answers() {
    "$SR_TIMEOUT" -k 5 20 gluster --mode=script pool list >/dev/null 2>&1
}

absent() {
    peers | awk '$NF != "Connected" { print $2 }' | sr_printable | tr '\n' ' '
}

all_there() {
    [ -z "$(absent)" ]
}

# Does a brick of the volume run here?
brick_runs() {
    for _brick_pid in "$SR_ROOT/run/gluster/vols/$volume"/*.pid; do
        ! sr_alive "$_brick_pid" || return 0
    done
    return 1
}

# This node's bricks of the volume, by what glusterd keeps of each.
has_brick() {
    for _has_file in "$state/vols/$volume/bricks"/*; do
        _has_path=$(sed -n 's/^path=//p' "$_has_file" 2>/dev/null)
        [ -z "$_has_path" ] || [ ! -d "$SR_ROOT$_has_path" ] || return 0
    done
    return 1
}

wait_for_peers() {
    sr_hint "are the other nodes up, with TCP 24007 open to this one? gluster pool list shows who is there"
    if [ "$SR_GLUSTER_BRICKS_WAIT_FOR_ALL" = 1 ]; then
        sr_wait_for "$SR_GLUSTER_BRICKS_PEER_TIMEOUT" "every peer of glusterd ($(absent))" all_there ||
            sr_fail "glusterd has not met $(absent)within $SR_GLUSTER_BRICKS_PEER_TIMEOUT s" \
                "to go on without: rd.srb.gluster-bricks.wait_for_all=0, once it is sure that no absent node has written since"
    elif [ "$SR_GLUSTER_BRICKS_ABSENT_TIMEOUT" -gt 0 ]; then
        sr_wait_for "$SR_GLUSTER_BRICKS_ABSENT_TIMEOUT" "the other peers of glusterd" all_there ||
            sr_warn "going on without $(absent)(wait_for_all = false)"
    fi
}

# The volume that the root is on, if it is this cluster's own.
wait_for_brick() {
    if [ ! -d "$state/vols/$volume" ]; then
        sr_fail "glusterd on this node knows no volume '$volume'" \
            "to make it: gluster peer probe NODE, gluster volume create $volume …, gluster volume start $volume (docs/glusterfs.md), then resume; or is the name wrong, the disk another one?"
    fi
    has_brick || return 0
    sr_wait_for 30 "this node's brick of $volume" brick_runs && return 0
    # Before version 10, glusterd starts no brick before it has met a peer.
    if ! all_there; then
        sr_run -t 60 gluster --mode=script volume start "$volume" force || :
        sr_wait_for 30 "this node's brick of $volume" brick_runs && return 0
    fi
    sr_warn "no brick of $volume runs on this node: gluster volume status, and the logs in /gluster/log"
}

# A brick whose node was killed may lack what was written in its last seconds and not synced, and no
# list of what is to be healed names that: have everything looked at, while the boot goes on.
heal_all() {
    [ -n "$(sr_get GLUSTER_UNCLEAN '')" ] && brick_runs || return 0
    sr_log "this node's disk was not left cleanly: a full heal of $volume begins"
    sr_run -t 60 gluster --mode=script volume heal "$volume" full ||
        sr_warn "it did not; once all bricks are there: gluster volume heal $volume full"
}

[ -n "$(sr_get GLUSTER_BRICKS '')" ] || exit 0
mkdir -p "$SR_ROOT/run/gluster" "$SR_ROOT/var/log/glusterfs/bricks"
if ! answers; then
    sr_survive_paths glusterd glusterfsd glusterfs
    sr_hint "see $log"
    SR_SURVIVE_LIMIT=120 sr_survive glusterd "--log-level=$SR_GLUSTER_BRICKS_LOG_LEVEL" "--log-file=$log"
    sr_wait_for 60 "glusterd to answer" answers
fi
# Whose volume it is, the file system's module knows, if there is one.
volume=${SR_GLUSTERFS_VOLUME-}
if [ -n "${SR_GLUSTERFS_ROOT-}" ]; then
    volume=${SR_GLUSTERFS_ROOT##*:/}
fi
volume=${volume%%/*}
wait_for_peers
if [ -n "$volume" ] && [ -z "${SR_GLUSTERFS_SERVER-}" ]; then
    wait_for_brick
    heal_all
fi
sr_log "glusterd and $(peers | grep -c . || :) peers; absent: $(absent)"
