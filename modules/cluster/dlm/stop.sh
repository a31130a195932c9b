#!/bin/sh
# End the lock manager's daemon. With a lockspace still in use it ignores SIGTERM and stays: then
# the file system was not unmounted, and killing it would cost the other nodes a recovery as well.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"

stopped() {
    ! pidof dlm_controld >/dev/null
}

stopped && exit 0
pidof dlm_controld | xargs kill -TERM || :
sr_wait_for 20 "the end of dlm_controld (a lockspace in use keeps it)" stopped
sr_log "the lock manager is down"
