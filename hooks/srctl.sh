#!/bin/sh
# srctl: looks after the container that the shared root runs in, from the bootstrap.
set -eu

# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=hooks/lib/ct.sh
. "$SR_LIB/ct.sh"
SR_POINT=srctl

usage() {
    cat <<'END'
usage: srctl COMMAND
  status [--json]        what the container does, since when, and how it ended before
  console                the container's console; what leaves it is said first
  enter [COMMAND…]       a shell in the container, or a command
  restart | stop | start the container; storage, cluster and this machine stay as they are
  logs [LINES]           the last LINES (40) of each log that tells of the container
  node reboot|poweroff   stop the container, leave the cluster, detach the storage; then that
END
}

# wrong MESSAGE: a slip in how srctl was called.
wrong() {
    echo "srctl: $1" >&2
    usage >&2
    exit 2
}

# none_left NUMBER: of the words after a command.
none_left() {
    [ "$1" -eq 0 ] || wrong "$command takes no words"
}

need_container() {
    [ -s "$SR_CT/runtime" ] || {
        echo "srctl: no container was handed over on this machine (yet): $SR_CT/runtime" >&2
        exit 1
    }
}

need_running() {
    need_container
    init=$(sr_ct_init) || {
        echo "srctl: the container does not run; srctl status says more, srctl start starts it" >&2
        exit 1
    }
}

# Set $state, $seconds (for how long), $init, $last, $reason, $starts.
look() {
    read -r state since <<END
$(sr_ct_get state "stopped 0")
END
    sr_check_int "$since" || since=0
    seconds=$(($(sr_uptime) - since))
    # What it says it does is one thing, whether there is an init another.
    init=$(sr_ct_init) || init=
    if [ -z "$init" ] && [ "$state" = running ]; then
        state=ended
    fi
    last=$(sr_ct_get last) reason=
    [ "$(sr_ct_get wanted)" != stay ] || reason=$(sr_ct_get reason)
    starts=$(sr_ct_get starts 0)
}

# json TEXT: as a JSON string.
json() {
    printf '%s' "$1" | LC_ALL=C tr -cd '\40-\176' | sed 's/[\\"]/\\&/g; s/^/"/; s/$/"/'
    [ -n "$1" ] || printf '""'
}

status_json() {
    printf '{"schema": "srbuild.ct/1", "node": %s, "runtime": %s, "state": %s, "seconds": %s,' \
        "$(json "$(sr_get NODE_NAME '')")" "$(json "$(sr_ct_get runtime)")" "$(json "$state")" "$seconds"
    printf ' "init": %s, "starts": %s, "last_end": %s, "reason": %s, "uptime": %s}\n' \
        "${init:-null}" "$starts" "$(json "$last")" "$(json "$reason")" "$(sr_uptime)"
}

row() {
    [ -z "$2" ] || printf '%-10s %s\n' "$1" "$2"
}

status_text() {
    row node "$(sr_get NODE_NAME '')"
    row container "$state for $seconds s, run by $(sr_ct_get runtime)"
    row init "${init:+process $init}"
    row reason "$reason"
    row "last end" "$last"
    row starts "$starts"
    row node "up for $(sr_uptime) s"
}

status() {
    case $#:${1-} in
        0:) json=0 ;;
        1:--json) json=1 ;;
        *) wrong "status takes --json or nothing" ;;
    esac
    need_container
    look
    if [ "$json" = 1 ]; then
        status_json
    else
        status_text
    fi
    [ "$state" = running ]
}

logs() {
    lines=${1:-40}
    if [ "$#" -gt 1 ] || ! sr_check_seconds "$lines" || [ "$lines" -eq 0 ]; then
        wrong "logs takes a number of lines"
    fi
    need_container
    printf '%s\n' "$SR_RUN/log" "$(cat "$SR_CT/logs")" | while IFS= read -r file; do
        [ -f "$file" ] || continue
        echo "== $file"
        tail -n "$lines" "$file" | sr_printable
    done
}

# How long the supervisor may take: to stop the container, and to start it.
order() {
    none_left "$(($# - 1))"
    need_container
    limit=$(
        sr_values_export supervisor
        printf '%s\n' "$((${SR_SUPERVISOR_STOP_SECONDS:-60} + 330))"
    )
    status=0
    text=$(sr_ct_order "$limit" "$1") || status=$?
    if [ "$status" -eq 124 ]; then
        text="the supervisor gave no answer within $limit s: srctl logs, and ps for its process"
    fi
    if [ "$status" -ne 0 ]; then
        echo "srctl: $text" >&2
    else
        echo "$text"
    fi
    exit "$status"
}

node() {
    case $#:${1-} in
        1:reboot) signal=TERM ;;
        1:poweroff) signal=USR2 ;;
        *) wrong "node takes reboot or poweroff" ;;
    esac
    if [ -s "$SR_CT/runtime" ]; then
        # PID 1 begins the shutdown: it goes on when this session ends.
        kill "-$signal" 1
        echo "the node goes down ($1)"
    else
        exec setsid sh "$SR_HOME/shutdown" "$1"
    fi
}

command=${1-}
[ "$#" -eq 0 ] || shift
case $command in
    status | logs | node) "$command" "$@" ;;
    restart | stop | start) order "$command" "$@" ;;
    console)
        none_left "$#"
        need_running
        sr_ct_call 0 console
        ;;
    enter)
        need_running
        sr_ct_call 0 enter "$@"
        ;;
    -h | --help | help) usage ;;
    '') wrong "a command is missing" ;;
    *) wrong "there is no command $(printf '%s' "$command" | sr_printable)" ;;
esac
