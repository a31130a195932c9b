#!/bin/sh
# Let go of the disks on Fibre Channel, what they still hold in memory written out. Adapters log out
# by themselves when the machine goes down.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=hooks/lib/fc.sh
. "$SR_LIB/fc.sh"

sr_run sync
for disk in $(sr_fc_disks "$(sr_fc_targets '')" | cut -d ' ' -f 1); do
    echo 1 >"$SR_SYS/class/block/$disk/device/delete"
    sr_log "$disk is released"
done
