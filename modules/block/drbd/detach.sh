#!/bin/sh
# Let go of the mirror, last of all: demote every resource, so that the peer knows that this node
# left in order, and take it down.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"

for resource in $(sr_get DRBD_RESOURCES ''); do
    # Whoever still has the device open keeps it primary.
    sr_run -t 15 drbdadm secondary "$resource" >&2 </dev/null ||
        sr_warn "$resource could not be demoted: is it still in use?"
    if sr_run -t 15 drbdadm down "$resource" >&2 </dev/null; then
        sr_log "$resource is down"
    else
        sr_warn "$resource could not be taken down; its peer will see this node vanish"
    fi
done
