#!/bin/sh
# Log out of the fabric, or tell the others good-bye: they need not wait for us to time out.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"

for port in "$SR_SYS"/class/net/*/ctlr_*; do
    [ -d "$port" ] || continue
    nic=${port%/ctlr_*}
    nic=${nic##*/}
    echo "$nic" >"$SR_SYS/bus/fcoe/ctlr_destroy"
    sr_log "FCoE on $nic is ended"
done
