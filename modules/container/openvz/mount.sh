#!/bin/sh
# On an OpenVZ kernel vzctl runs this as CTID.mount once the private area is mounted on VE_ROOT: the
# node's own files belong there, for a bind beneath VE_PRIVATE is not seen through vzctl's own bind. A
# failure here ends the start (vzctl: 79).
set -eu
PATH=$PATH:${SR_HOME:=/usr/lib/srbuild}/applets # vzctl's own has none of them
export PATH
# shellcheck source=hooks/lib/base.sh
. "$SR_HOME/lib/base.sh"
# shellcheck source=hooks/lib/hostfiles.sh
. "$SR_LIB/hostfiles.sh"
sr_hostfiles_apply "$(cat "$SR_RUN/openvz/root")"
