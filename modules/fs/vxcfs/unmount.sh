#!/bin/sh
# Unmount the shared root where the boot put it, and leave the cluster's file systems.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=hooks/lib/root.sh
. "$SR_LIB/root.sh"

sr_root_unmount
PATH=$PATH:$SR_ROOT/opt/VRTS/bin
sr_run -t 60 fsclustadm -v cfsdeinit
