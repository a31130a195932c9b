#!/bin/sh
# What the fence scripts share: the table of devices, and running an agent on one of them. Agents
# keep the fence-agents API (https://github.com/ClusterLabs/fence-agents, doc/FenceAgentAPI.md):
# key=value lines on stdin, the exit status says how it went; for `status`, 0 is on and 2 is off.
set -eu

table=$SR_ETC/fence.devices

# fence_value ID LEVEL DEVICE KEY: print the value, or nothing.
fence_value() {
    sed -n "s/^$1 $2 $3 $4=//p" "$table"
}

# fence_rows ID LEVEL DEVICE: print the device's key=value lines.
fence_rows() {
    sed -n "s/^$1 $2 $3 //p" "$table"
}

# Print the ids of all nodes.
fence_ids() {
    awk '/^[0-9]/ && !seen[$1]++ { print $1 }' "$table"
}

# fence_levels ID: print its levels but 0, in their order.
fence_levels() {
    awk -v id="$1" '$1 == id && $2 > 0 && !seen[$2]++ { print $2 }' "$table"
}

# fence_devices ID LEVEL: print the numbers of that level's devices.
fence_devices() {
    awk -v id="$1" -v level="$2" '$1 == id && $2 == level && !seen[$3]++ { print $3 }' "$table"
}

# fence_device_name ID LEVEL DEVICE: print how people know it.
fence_device_name() {
    _name_ip=$(fence_value "$1" "$2" "$3" ip)
    _name_plug=$(fence_value "$1" "$2" "$3" plug)
    printf '%s%s%s\n' "$(fence_value "$1" "$2" "$3" agent)" "${_name_ip:+ at $_name_ip}" "${_name_plug:+, plug $_name_plug}"
}

# fence_run ID LEVEL DEVICE ACTION SECONDS: have the device's agent do it; the agent's status. What
# it said is in $SR_RUN/fence/ID.LEVEL.DEVICE, without lines that hold the device's secret.
fence_run() {
    _fence_said=$SR_RUN/fence/$1.$2.$3
    _fence_secret=$(fence_value "$1" "$2" "$3" password)
    _fence_agent=$(fence_value "$1" "$2" "$3" agent)
    mkdir -p "$SR_RUN/fence"
    _fence_own=$SR_HOME/modules/fence-$_fence_agent/agent.sh
    if [ -f "$_fence_own" ]; then
        set -- "$1" "$2" "$3" "$4" "$5" sh -eu "$_fence_own"
    elif command -v "fence_$_fence_agent" >/dev/null; then
        set -- "$1" "$2" "$3" "$4" "$5" "fence_$_fence_agent"
    else
        echo "no agent '$_fence_agent' in this image: build it with --module fence-$_fence_agent" >"$_fence_said"
        return 127
    fi
    _fence_status=0
    (
        _fence_id=$1 _fence_level=$2 _fence_device=$3 _fence_action=$4 _fence_limit=$5
        shift 5
        umask 077
        {
            fence_rows "$_fence_id" "$_fence_level" "$_fence_device" | grep -v '^agent='
            printf 'action=%s\n' "$_fence_action"
            printf 'node=%s\n' "$_fence_id"
            printf 'name=%s\n' "$(fence_value "$_fence_id" 0 0 name)"
        } | "$SR_TIMEOUT" -k 5 "$_fence_limit" "$@" >"$_fence_said.raw" 2>&1
    ) || _fence_status=$?
    if [ -n "$_fence_secret" ]; then
        grep -vF -- "$_fence_secret" "$_fence_said.raw" >"$_fence_said" || :
    else
        cp "$_fence_said.raw" "$_fence_said"
    fi
    rm -f "$_fence_said.raw"
    return "$_fence_status"
}

# fence_last_words ID LEVEL DEVICE: print the last line that the agent said.
fence_last_words() {
    tail -n 1 "$SR_RUN/fence/$1.$2.$3" 2>/dev/null | sr_printable
}

# fence_status_says STATUS: print what an agent's exit status means when it has no words.
fence_status_says() {
    case $1 in
        124 | 137) echo "no answer in time" ;;
        *) echo "status $1" ;;
    esac
}

# fence_why STATUS ID LEVEL DEVICE: print in one line what went wrong.
fence_why() {
    _why_words=$(fence_last_words "$2" "$3" "$4")
    printf '%s: %s%s\n' "$(fence_device_name "$2" "$3" "$4")" "$(fence_status_says "$1")" "${_why_words:+: $_why_words}"
}

# fence_unfence WHEN: have this node's own devices let it in again, if that is to happen now. A
# booting node knows nothing of what it held before it was fenced, so that is safe.
fence_unfence() {
    [ "${SR_FENCE_METHOD:-}" = agent ] || return 0
    _unfence_id=$(sr_get NODE_ID '')
    [ "$(fence_value "$_unfence_id" 0 0 unfence)" = "$1" ] || return 0
    for _unfence_level in $(fence_levels "$_unfence_id"); do
        for _unfence_device in $(fence_devices "$_unfence_id" "$_unfence_level"); do
            _unfence_status=0
            fence_run "$_unfence_id" "$_unfence_level" "$_unfence_device" on "$SR_FENCE_TIMEOUT" || _unfence_status=$?
            [ "$_unfence_status" -eq 0 ] || sr_fail \
                "this node's fence device does not let it in: $(fence_why "$_unfence_status" "$_unfence_id" "$_unfence_level" "$_unfence_device")" \
                "its storage would stay out of reach; correct [node.fence] in the cluster file"
        done
    done
    sr_log "this node's fence devices let it in"
}
