#!/bin/sh
# vzctl runs this as CTID.mount once the private area is mounted on VE_ROOT: the node's own files
# belong there, for a bind beneath VE_PRIVATE is not seen through vzctl's own bind. A failure here
# ends the start (vzctl: 79).
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=hooks/lib/hostfiles.sh
. "$SR_LIB/hostfiles.sh"
sr_hostfiles_apply "$(cat "$SR_RUN/openvz/root")"
