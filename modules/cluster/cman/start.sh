#!/bin/sh
# Join a cluster of RHEL 5's kind: its members first, then the fence domain, without which no lock
# is granted. The daemons put themselves into the background.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"

name=$(sr_get CLUSTER_NAME '')
[ -n "$name" ] || sr_fail "this node belongs to no cluster" "build the site part from a cluster file"
conf=$SR_ROOT/etc/cluster/cluster.conf
grep -q "<cluster[^>]* name=\"$name\"" "$conf" || sr_fail "/etc/cluster/cluster.conf is not that of the cluster $name" \
    "give both the same name, which is also the first part of the file system's lock table"
node=$(sr_get NODE_NAME)
grep -q "<clusternode[^>]* name=\"$node\"" "$conf" ||
    sr_fail "/etc/cluster/cluster.conf has no node $node" "give the nodes the same names in both files"

sr_modprobe
if [ ! -d "$SR_SYS/kernel/config/dlm" ]; then
    sr_run mount -t configfs configfs "$SR_SYS/kernel/config"
fi
sr_survive ccsd
sr_hint "cman_tool nodes shows who is there; with fewer than half of the nodes there is no quorum"
sr_run -t "$SR_CMAN_TIMEOUT" cman_tool -t "$SR_CMAN_TIMEOUT" -w join -n "$node"
sr_run -t "$SR_CMAN_TIMEOUT" cman_tool -t "$SR_CMAN_TIMEOUT" -q wait
for daemon in groupd fenced dlm_controld gfs_controld; do
    sr_survive "$daemon"
done
sr_hint "fenced waits for a node that it can't fence: see its agent in cluster.conf"
sr_run -t "$SR_CMAN_TIMEOUT" fence_tool -t "$SR_CMAN_TIMEOUT" -w join
sr_log "$node is a member of the cluster $name and of its fence domain"
