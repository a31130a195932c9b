#!/bin/sh
# Let go of the root's logical volume.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=hooks/lib/lvm.sh
. "$SR_LIB/lvm.sh"

sr_lvm_names
sr_lvm_deactivate
