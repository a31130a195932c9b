#!/bin/sh
# After the storage is attached: ask this node's own devices to let it in again, if it is cut off by them.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=modules/cluster/fence/devices.sh
. "${0%/*}/devices.sh"

fence_unfence after-storage
