#!/bin/sh
# Say at every boot that nothing fences.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"

if [ "$SR_FENCE_METHOD" = unsafe-none ]; then
    sr_warn "############################################################"
    sr_warn "FENCING IS OFF (fence method unsafe-none): when a node falls"
    sr_warn "silent and comes back, the shared root can be DESTROYED."
    sr_warn "############################################################"
fi
