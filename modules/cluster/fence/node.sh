#!/bin/sh
# Fence one node: dlm_controld runs this with node=ID on stdin and holds all locks until it ends
# with 0, which must mean that the node is off. With another status it is run again. What happens
# goes to the kernel's log, so that the console shows it, whoever has the console by then.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=modules/cluster/fence/devices.sh
. "${0%/*}/devices.sh"
SR_POINT=fence
SR_MODULE=

# tell PRIORITY TEXT: to the kernel's log with this priority (syslog(2)), and to the boot's log.
tell() {
    sr_log "$2" 2>>"$SR_RUN/log"
    printf '<%s>srbuild: fence: %s\n' "$1" "$2" >"$SR_DEV/kmsg" || :
}

# Print the id that dlm_controld names.
read_id() {
    while IFS= read -r line; do
        case $line in
            node=*) echo "${line#node=}" ;;
        esac
    done
}

# pause SECONDS: between attempts, and where a node is given a head start.
pause() {
    _pause_end=$(($(sr_uptime) + $1))
    while [ "$(sr_uptime)" -lt "$_pause_end" ]; do
        sr_pause
    done
}

# all_devices LEVEL ACTION: every device of the level must do it.
all_devices() {
    for device in $(fence_devices "$id" "$1"); do
        status=0
        fence_run "$id" "$1" "$device" "$2" "$limit" || status=$?
        [ "$status" -eq 0 ] && continue
        why=$(fence_why "$status" "$id" "$1" "$device")
        return 1
    done
}

# try_level LEVEL: turn the node off, and on again if that is wanted. A node with several power
# supplies is off only while all of them are.
try_level() {
    if [ "$(fence_devices "$id" "$1" | wc -l)" -eq 1 ]; then
        all_devices "$1" "$action"
        return
    fi
    all_devices "$1" off || return 1
    [ "$action" = reboot ] || return 0
    all_devices "$1" on || tell 3 "$name is off but could not be turned on again: $why"
}

# The first failure is told with all that a person needs, later ones in one line a minute.
tell_failure() {
    now=$(sr_uptime)
    last=$(cat "$SR_RUN/fence/$id.told" 2>/dev/null) || last=
    if [ -z "$last" ]; then
        tell 3 "FENCING FAILED: $name (node $id) could not be fenced. $why"
        tell 3 "The shared root stands still on this node until $name is fenced; it is tried again and again."
        tell 3 "Is $name REALLY off, power cut? Only then say, on a node that waits: dlm_tool fence_ack $id"
    elif [ $((now - last)) -ge 60 ]; then
        tell 3 "FENCING STILL FAILS: $name (node $id): $why (off for sure? dlm_tool fence_ack $id)"
    else
        return 0
    fi
    echo "$now" >"$SR_RUN/fence/$id.told"
}

limit=${SR_FENCE_TIMEOUT:-60}
retry=${SR_FENCE_RETRY:-5}
id=$(read_id)
mkdir -p "$SR_RUN/fence"
sr_check_int "$id" || {
    tell 3 "dlm_controld names no node to fence"
    exit 1
}
name=$(fence_value "$id" 0 0 name)
[ -n "$name" ] || {
    tell 3 "FENCING FAILED: node $id has no device in this image's cluster file; off for sure? dlm_tool fence_ack $id"
    pause "$retry"
    exit 1
}
action=$(fence_value "$id" 0 0 action)
why="it has no device"
if [ ! -f "$SR_RUN/fence/$id.told" ]; then
    delay=$(fence_value "$id" 0 0 delay)
    tell 3 "$name (node $id) fell silent: fencing it${delay:+ after $delay s}"
    pause "${delay:-0}"
fi
begin=$(sr_uptime)
for level in $(fence_levels "$id"); do
    if try_level "$level"; then
        rm -f "$SR_RUN/fence/$id.told"
        tell 3 "$name (node $id) is fenced, confirmed by $(fence_device_name "$id" "$level" 1) in $(($(sr_uptime) - begin)) s"
        exit 0
    fi
    tell_failure
done
pause "$retry"
exit 1
