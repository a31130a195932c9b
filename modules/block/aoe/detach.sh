#!/bin/sh
# Forget all AoE disks. Nobody at the target has to hear of it: AoE has no sessions.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"

control=$SR_DEV/etherd/flush
[ -e "$control" ] || exit 0
sr_run sync
echo all >"$control"
sr_log "the AoE disks are released"
