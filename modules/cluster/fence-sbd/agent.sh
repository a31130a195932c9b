#!/bin/sh
# Fence agent: leave the victim a message on the shared disks. It counts once the disks' message
# timeout has passed, within which the victim has either read it or lost its disks and been reset
# by its watchdog; `sbd message` waits that long. Keys: name, action.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"

action=off name=
while IFS= read -r line; do
    case $line in
        action=*) action=${line#action=} ;;
        name=*) name=${line#name=} ;;
    esac
done
disks=$(sr_get SBD_DISKS '')
[ -n "$disks" ] || {
    echo "sbd does not run on this node"
    exit 1
}
set --
for disk in $disks; do
    set -- "$@" -d "$disk"
done
case $action in
    off) exec sbd "$@" message "$name" off ;;
    reboot) exec sbd "$@" message "$name" reset ;;
    on) ;;
    # Whether the node is on no disk can tell; that it has a slot shows that a message would be read.
    status | monitor)
        slots=$(sbd "$@" list)
        printf '%s\n' "$slots" | awk -v name="$name" '$2 == name { found = 1 } END { exit !found }' || {
            echo "$name has no slot on the sbd disks yet"
            exit 1
        }
        ;;
    *)
        echo "no such action: $action"
        exit 1
        ;;
esac
