#!/bin/sh
# Leave the fence domain and the cluster, so that nobody fences this node.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"

sr_run -t 30 fence_tool leave || sr_warn "the fence domain could not be left"
sr_run -t 60 cman_tool -t 50 -w leave remove
sr_log "the cluster is left"
