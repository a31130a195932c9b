#!/bin/sh
# Tell the kernel who the cluster's nodes are and how patient they are with each other, and with a
# global heartbeat begin to beat. All numbers must be set before this node comes online, and must
# be the same on all nodes: o2net refuses a peer that has others.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=hooks/lib/disk.sh
. "$SR_LIB/disk.sh"

name=$(sr_get CLUSTER_NAME '')
[ -n "$name" ] || sr_fail "this node belongs to no cluster" "build the site part from a cluster file"
config=$SR_SYS/kernel/config/cluster

# set_value FILE VALUE
set_value() {
    printf '%s\n' "$2" >"$config/$name/$1" ||
        sr_fail "the kernel does not take $2 for ${1##*/}" "correct it under [o2cb] in the cluster file"
}

if [ "$SR_O2CB_KEEPALIVE_DELAY_MS" -ge "$SR_O2CB_IDLE_TIMEOUT_MS" ]; then
    sr_fail "keepalive_delay_ms ($SR_O2CB_KEEPALIVE_DELAY_MS) is not less than idle_timeout_ms ($SR_O2CB_IDLE_TIMEOUT_MS)" \
        "correct them under [o2cb] in the cluster file: connections would be given up before a sign of life is asked for"
fi

sr_modprobe
# Its mount point appears with configfs.ko, not before.
if [ ! -d "$config" ]; then
    sr_run mount -t configfs configfs "$SR_SYS/kernel/config"
fi
[ -d "$config" ] || sr_fail "there is no $config" "is ocfs2_nodemanager.ko of the running kernel in the image?"

if [ ! -d "$config/$name" ]; then
    sr_run o2cb register-cluster "$name" ||
        sr_fail "the cluster $name could not be registered" "see /etc/ocfs2/cluster.conf"
fi
node=$(sr_get NODE_NAME)
[ -d "$config/$name/node/$node" ] ||
    sr_fail "/etc/ocfs2/cluster.conf has no node $node" "rebuild the site part"
if [ "$(cat "$config/$name/node/$node/local")" != 1 ]; then
    sr_fail "o2cb did not find out that this is $node" "is the host name ($(hostname)) the node's name?"
fi

# The kernel wants keepalive < idle at every moment, so the lower one may have to come first.
echo "$SR_O2CB_KEEPALIVE_DELAY_MS" 2>/dev/null >"$config/$name/keepalive_delay_ms" || :
set_value idle_timeout_ms "$SR_O2CB_IDLE_TIMEOUT_MS"
set_value keepalive_delay_ms "$SR_O2CB_KEEPALIVE_DELAY_MS"
set_value reconnect_delay_ms "$SR_O2CB_RECONNECT_DELAY_MS"
set_value fence_method "$SR_O2CB_FENCE"
set_value heartbeat/dead_threshold "$SR_O2CB_DEAD_THRESHOLD"

if [ -n "$SR_O2CB_HEARTBEAT_DEVICE" ]; then
    for region in $SR_O2CB_HEARTBEAT_DEVICE; do
        sr_disk_await 60 "UUID=$region"
    done
    sr_hint "every device under heartbeat_device must be an OCFS2 volume made for this cluster with mkfs.ocfs2 --global-heartbeat"
    sr_run -t 120 o2cb start-heartbeat "$name" ||
        sr_fail "the heartbeat could not be started on $SR_O2CB_HEARTBEAT_DEVICE"
    sr_log "beating on $SR_O2CB_HEARTBEAT_DEVICE"
fi
sr_log "the cluster $name is registered; a node is dead after $((2 * (SR_O2CB_DEAD_THRESHOLD - 1))) s without a beat"
