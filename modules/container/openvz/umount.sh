#!/bin/sh
# On an OpenVZ kernel vzctl runs this as CTID.umount while the container's root is still mounted on
# VE_ROOT: it does not unmount one that something is mounted in. What is left is let go of when its
# user ends.
set -eu
PATH=$PATH:${SR_HOME:=/usr/lib/srbuild}/applets # vzctl's own has none of them
export PATH
# shellcheck source=hooks/lib/base.sh
. "$SR_HOME/lib/base.sh"
# shellcheck source=hooks/lib/hostfiles.sh
. "$SR_LIB/hostfiles.sh"
sr_hostfiles_undo "$(cat "$SR_RUN/openvz/root")"
