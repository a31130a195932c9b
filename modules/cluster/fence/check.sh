#!/bin/sh
# Before this node joins the cluster: would its peers' fence devices do as they are told? A device
# that does not answer today is the one that blocks the cluster tonight.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=modules/cluster/fence/devices.sh
. "${0%/*}/devices.sh"

limit=20

peers() {
    fence_ids | grep -vx "$(sr_get NODE_ID '')" || :
}

# probe_all: ask the status of every peer's devices at once; the answers are in $SR_RUN/fence/*.is.
probe_all() {
    mkdir -p "$SR_RUN/fence"
    for id in $(peers); do
        for level in $(fence_levels "$id"); do
            for device in $(fence_devices "$id" "$level"); do
                (
                    status=0
                    fence_run "$id" "$level" "$device" status "$limit" || status=$?
                    echo "$status" >"$SR_RUN/fence/$id.$level.$device.is"
                ) &
            done
        done
    done
    wait
}

# each_answer COMMAND: run COMMAND with the words STATUS ID LEVEL DEVICE for every device.
each_answer() {
    for id in $(peers); do
        for level in $(fence_levels "$id"); do
            for device in $(fence_devices "$id" "$level"); do
                "$1" "$(cat "$SR_RUN/fence/$id.$level.$device.is")" "$id" "$level" "$device"
            done
        done
    done
}

silent=0
note_silent() {
    case $1 in
        0 | 2) return 0 ;;
    esac
    silent=$((silent + 1))
    sr_warn "the fence device of $(fence_value "$2" 0 0 name) does not answer: $(fence_why "$@")"
}

awake=
note_awake() {
    [ "$3" -ne 1 ] || [ "$1" -eq 2 ] || awake="$awake $(fence_value "$2" 0 0 name)"
}

# For a repair that writes without the cluster: every peer must be off, as its device says or as a
# person does.
require_all_off() {
    confirmed=$SR_RUN/peers-are-off
    if [ -f "$confirmed" ]; then
        sr_warn "going on: a person says that every other node is off"
        return
    fi
    if [ "$SR_FENCE_METHOD" = agent ]; then
        probe_all
        each_answer note_awake
        if [ -z "$awake" ]; then
            sr_log "every other node is off, say the fence devices"
            return
        fi
    fi
    sr_fail "nothing confirms that every other node is off${awake:+: not so for$awake}" \
        "turn them off and type resume; or, with your own eyes on it: touch $confirmed, resume"
}

case $(sr_get ALONE '') in
    ro) exit 0 ;;
    rw)
        require_all_off
        exit 0
        ;;
esac
case $SR_FENCE_METHOD in
    unsafe-none)
        sr_warn "############################################################"
        sr_warn "FENCING IS OFF (fence method unsafe-none): when a node falls"
        sr_warn "silent and comes back, the shared root can be DESTROYED."
        sr_warn "############################################################"
        ;;
    agent)
        [ "$SR_FENCE_CHECK" != no ] || exit 0
        probe_all
        each_answer note_silent
        if [ "$silent" -eq 0 ]; then
            sr_log "the peers' fence devices answer"
        elif [ "$SR_FENCE_CHECK" = fail ]; then
            sr_fail "$silent fence devices do not answer" \
                "is the management network up, and are address, user and secret right? rd.srb.fence.check=warn boots nevertheless"
        else
            sr_warn "should such a node fall silent, the shared root would stand still on all others"
        fi
        ;;
esac
