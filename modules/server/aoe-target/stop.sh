#!/bin/sh
# End every vblade, so that the disk is free; nothing when there is none.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"

none_left() {
    ! pidof vblade >/dev/null
}

killall vblade 2>/dev/null || exit 0
sr_wait_for 10 "the end of vblade" none_left
