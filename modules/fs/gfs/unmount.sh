#!/bin/sh
# Unmount the shared root where the boot put it.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=hooks/lib/root.sh
. "$SR_LIB/root.sh"

sr_root_unmount
