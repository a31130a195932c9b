#!/bin/sh
# Take Veritas' layers down in the reverse order, so that the other nodes need not wait for this
# one. What does not come down is named, and the rest is still tried.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"

left=0

# take_down COMMAND…: one layer.
take_down() {
    sr_run -t 60 "$@" && return 0
    sr_warn "$* failed (status $?)"
    left=1
}

take_down "$SR_ROOT/etc/vx/bin/vxclustadm" stopnode
take_down vxfenconfig -U
take_down vxdctl -k stop
take_down gabconfig -U
take_down lltconfig -U -o
[ "$left" -eq 0 ] || exit 1
sr_log "the Veritas cluster is left"
