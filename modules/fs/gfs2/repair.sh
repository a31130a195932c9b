#!/bin/sh
# Say so, and have the cluster's modules stand aside, when this boot is for a repair alone.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"

case $SR_GFS2_REPAIR in
    '') rm -f "$SR_RUN/state/ALONE" ;;
    ro | rw)
        sr_put ALONE "$SR_GFS2_REPAIR"
        sr_warn "REPAIR: this node takes no part in the cluster and mounts the root $SR_GFS2_REPAIR, without locks"
        ;;
    *) sr_fail "rd.srb.gfs2.repair=$SR_GFS2_REPAIR is neither ro nor rw" ;;
esac
