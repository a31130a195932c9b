#!/bin/sh
# Fence agent of the lab: asks the host, which runs the machines, over the virtio port `fence`. The
# protocol is written down in builder/srbuild/lab/fencing.py.
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

# Print the device node of the port.
find_port() {
    for port in "$SR_SYS"/class/virtio-ports/*; do
        [ "$(cat "$port/name" 2>/dev/null)" != fence ] || echo "$SR_DEV/${port##*/}"
    done
}

has_port() {
    [ -c "$(find_port)" ]
}

sr_wait_for 10 "the lab's fence port" has_port
# One at a time may hold the port.
exec 9>"$SR_RUN/fence-lab.lock"
flock 9
exec 3<>"$(find_port)"
tag=$$
echo "$tag $action $name" >&3
while read -r its_tag answer <&3; do
    [ "$its_tag" = "$tag" ] || continue
    echo "the lab says: $answer"
    case $action:$answer in
        status:on | *:done) exit 0 ;;
        status:off) exit 2 ;;
        *) exit 1 ;;
    esac
done
echo "the lab's host is gone"
false
