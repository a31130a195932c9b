#!/bin/sh
# End glusterd, the self-heal daemon and the bricks, and unmount /gluster; nothing when there are
# none. /gluster is mounted where these processes have their root: after the handover that is
# another place than this script's, so it is entered before they end.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"

ours="glusterd glusterfs glusterfsd"

running() {
    for _running_name in $ours; do
        pidof "$_running_name" || :
    done | tr '\n' ' '
}

ended() {
    [ -z "$(running)" ]
}

# Is a disk mounted on the gluster that is here?
on_disk() {
    [ -d gluster ] && [ "$(device_of gluster)" != "$(device_of .)" ]
}

device_of() {
    "$SR_TIMEOUT" -k 5 10 stat -c %d "$1"
}

cd "$SR_ROOT/"
for process in $(running); do
    cd "$SR_PROC/$process/root" && break
done
if ! ended; then
    running | xargs kill -TERM 2>/dev/null || :
    if ! sr_wait_for 30 "the end of the bricks" ended; then
        running | xargs kill -KILL 2>/dev/null || :
        sr_wait_for 10 "the kill of the bricks" ended || :
    fi
fi
on_disk || exit 0
for point in var/lib/glusterd var/log/glusterfs; do
    sr_run -t 10 umount "./$point" || sr_warn "/$point could not be unmounted"
done
sr_run -t 10 touch ./gluster/.left-clean || :
sr_run -t 30 umount ./gluster || {
    sr_warn "/gluster could not be unmounted; it is made read-only"
    sr_run -t 30 mount -o remount,ro ./gluster
}
sr_log "the bricks have ended, /gluster is unmounted"
