#!/bin/sh
# Log out of all iSCSI sessions and end iscsid.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"

pidfile=$SR_ROOT/run/iscsid.pid
sr_alive "$pidfile" || exit 0
status=0
sr_run -t 30 iscsiadm -m session -u || status=$?
case $status in
    0 | 21) sr_log "logged out" ;; # 21: there was no session
    *) sr_warn "the logout failed (iscsiadm status $status)" ;;
esac
sr_stop "$pidfile" 10
