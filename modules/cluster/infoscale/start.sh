#!/bin/sh
# Bring up Veritas' layers, each on the one before: LLT (the network), GAB (who is a member), the
# volume manager's own view of the disks, I/O fencing, and the cluster's shared volumes.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"

limit=$SR_INFOSCALE_TIMEOUT

# Is this node a member at the GAB port $1 (a: GAB itself, b: fencing, v: the volume manager)?
is_member() {
    "$SR_TIMEOUT" -k 5 10 gabconfig -a 2>/dev/null | grep -q "^Port $1 gen .*membership"
}

has_cluster() {
    "$SR_TIMEOUT" -k 5 20 "$SR_ROOT/etc/vx/bin/vxclustadm" nodestate 2>/dev/null | grep -q 'state: cluster member'
}

[ -s "$SR_ROOT/etc/llttab" ] || sr_fail "this node has no /etc/llttab" "build the site part from a cluster file"
grep -q '^link ' "$SR_ROOT/etc/llttab" ||
    sr_fail "/etc/llttab names no link" "give the node its MAC addresses in the cluster file"
nodes=$(wc -l <"$SR_ETC/nodes")

sr_modprobe llt gab
sr_hint "lltstat -nvv shows the links; two clusters on one network need two cluster_id"
sr_run -t "$limit" lltconfig -c
sr_run -t "$limit" gabconfig -c -n "$((nodes))"
sr_hint "GAB waits until all $((nodes)) nodes are up when the cluster starts; gabconfig -x lets this one go on alone, which is right only when the others are off"
sr_wait_for "$limit" "the cluster's members (GAB port a)" is_member a

sr_modprobe vxdmp vxio vxspec
sr_hint "is the licence in /etc/vx/licenses/lic this product's?"
sr_survive vxconfigd -k -m disable
sr_run -t "$limit" vxdctl init "$(sr_get NODE_NAME)"
sr_run -t "$limit" vxdctl enable

sr_modprobe vxfen
if [ "$SR_INFOSCALE_FENCING" = disabled ]; then
    sr_warn "############################################################"
    sr_warn "FENCING IS OFF (fencing = disabled under [infoscale]): when a"
    sr_warn "node falls silent and comes back, the root can be DESTROYED."
    sr_warn "############################################################"
fi
if [ "$SR_INFOSCALE_FENCING" = scsi3 ] && [ ! -s "$SR_ROOT/etc/vxfentab" ]; then
    sr_fail "/etc/vxfentab names no coordinator disks" "copy that of a configured node into the sysroot, and rebuild the image"
fi
sr_hint "vxfenadm -d shows the fencing; /etc/vxfentab must name the coordinator disks as this node sees them"
sr_run -t "$limit" vxfenconfig -c
sr_wait_for "$limit" "the fencing's members (GAB port b)" is_member b

sr_hint "vxclustadm nodestate says why; main.cf must name the cluster's members"
sr_run -t "$limit" "$SR_ROOT/etc/vx/bin/vxclustadm" -m vcs -t gab startnode
sr_wait_for "$limit" "the cluster's shared volumes" has_cluster
sr_log "this node is a member of the Veritas cluster $SR_INFOSCALE_CLUSTER_ID"
