#!/bin/sh
# runtime.sh VERB: what the supervisor, srctl and the shutdown have done with the container,
# as hooks/lib/runtime.sh has them.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
here=${0%/*}
# shellcheck source=hooks/lib/runtime.sh
. "$SR_LIB/runtime.sh"
# shellcheck source=modules/container/openvz/ending.sh
. "$here/ending.sh"
# shellcheck source=modules/container/openvz/confined.sh
. "$here/confined.sh"

# --- start and wait -------------------------------------------------------------------------------

start() {
    ! is_running || sr_fail "the container runs already (its init is process $init)"
    rm -f "$vz/init" "$vz/event" "$vz/placed" "$vepid"
    [ ! -e "$tracing/trace" ] || : >"$tracing/trace"
    _start_status=0
    _start_more=
    case $(generation) in
        7 | 8 | 9) _start_more=--ignore-ha-cluster ;;
    esac
    vzctl_do "$SR_OPENVZ_START_SECONDS" start "$ctid" ${_start_more:+"$_start_more"} </dev/null >"$vz/out" 2>&1 ||
        _start_status=$?
    sr_printable <"$vz/out" >&2
    [ "$_start_status" -eq 0 ] || sr_fail "vzctl start ended with status $_start_status: $(meaning "$_start_status")" \
        "srctl logs shows vzctl's log; docs/openvz.md has its statuses"
    # Status 0 proves nothing: vzctl does not wait for the init, which may never run.
    sr_wait_for "$SR_OPENVZ_START_SECONDS" "the container's init" is_decided 2>/dev/null || :
    [ -s "$vz/init" ] || {
        vzctl_do 30 umount "$ctid" >/dev/null 2>&1 || :
        sr_fail "vzctl start said that all is well, but the container does not run: $(said)" "srctl logs"
    }
    [ "$(generation)" != upstream ] || check_placed
}

# check_placed: was place.sh run before that init was let go? Without it the nodes would write over
# each other's files.
check_placed() {
    read -r _placed_init _ <"$vz/init"
    [ "$(cat "$vz/placed" 2>/dev/null)" != "$_placed_init" ] || return 0
    vzctl_do 30 stop "$ctid" --fast >/dev/null 2>&1 || kill -KILL "$_placed_init"
    sr_fail "vzctl started the container without this node's own files: it did not run vps-netns_dev_add" \
        "srbuild knows 4.11 to do so; does it look for its scripts in /usr/libexec/vzctl/scripts?"
}

# What vzctl said last, as a reason.
said() {
    grep -v -e '^Warning: ' -e '^WARNING: ' -e '^stat(' "$vz/out" | tail -n 1 | sr_printable
}

# Statuses of vzctl(8) and the transcripts of docs/openvz.md, in words.
meaning() {
    case $1 in
        5) echo "no control groups are mounted, or this is no OpenVZ kernel" ;;
        6) echo "control groups of version 2, or too few resources" ;;
        9) echo "another vzctl holds the container's lock" ;;
        28) echo "a limit that this kernel needs is not set: [ve] physpages and swappages, or all beancounters" ;;
        31) echo "the container could not be set up: $(said)" ;;
        32) echo "it runs already" ;;
        34) echo "its network could not be set up" ;;
        43) echo "there is no private area at $private" ;;
        47) echo "there is no init in it, or its owner is another" ;;
        50) echo "the private area could not be mounted" ;;
        79) echo "the node's own files could not be put in place, or the kernel not be closed to the container" ;;
        99) echo "the layout is ploop" ;;
        105) echo "the container is disabled" ;;
        107) echo "there is no /etc/vz/dists/default" ;;
        124 | 137) echo "no end after $SR_OPENVZ_START_SECONDS s" ;;
        139) echo "vzctl crashed; is there an /etc/resolv.conf?" ;;
        141) echo "another node owns the private area (/.owner)" ;;
        *) said ;;
    esac
}

# Decided when vzctl and the kernel agree that it runs (its init is then written down), or when vzctl
# says that it is down: the process was there when `start` ended.
is_decided() {
    case $(vzctl_do 10 status "$ctid" 2>/dev/null) in
        *' running'*) ;;
        *' down'*) return 0 ;;
        *) return 1 ;;
    esac
    _begun_pid=$(find_init) && _begun_time=$(start_time "$_begun_pid") || return 1
    printf '%s %s\n' "$_begun_pid" "$_begun_time" >"$vz/init.new"
    mv "$vz/init.new" "$vz/init"
}

wait_for_end() {
    while is_running; do
        "$SR_TIMEOUT" 1 tail -f /dev/null 2>/dev/null || :
    done
    ending
}

# --- stop -----------------------------------------------------------------------------------------

stop() {
    sr_check_seconds "${1-}" || sr_fail "stop needs a number of seconds"
    if is_running; then
        if [ "$(generation)" = upstream ]; then
            # As vzctl does, but for the capabilities.
            confined halt </dev/null >"$vz/out" 2>&1 || sr_warn "halt in the container: status $?"
            sr_wait_for "$1" "the end of the container" is_gone 2>/dev/null || :
        else
            vzctl_do "$1" stop "$ctid" </dev/null >"$vz/out" 2>&1 || sr_warn "vzctl stop: status $?"
        fi
        is_running || return 0
        sr_warn "the container is ended by force"
        vzctl_do 20 stop "$ctid" --fast </dev/null >"$vz/out" 2>&1 || sr_warn "vzctl stop --fast: status $?"
        ! is_running || kill -KILL "$init" 2>/dev/null || :
    fi
    sr_wait_for 10 "the end of the container" is_gone ||
        sr_fail "the container could not be ended: process $init is still there" \
            "a process that waits for storage that is gone (state D) ends with the machine only"
}

# --- the rest -------------------------------------------------------------------------------------

console() {
    sr_need_running
    [ "$(generation)" != upstream ] || sr_fail "vzctl has no console on a mainline kernel" "use srctl enter"
    vzctl_do 0 console "$ctid"
}

# quoted WORD: as a shell reads it back.
quoted() {
    printf '%s\n' "$1" | sed "s/'/'\\\\''/g; 1s/^/'/; \$s/\$/'/"
}

# exec2 hands its words to a shell, joined by blanks: each is quoted for that.
enter() {
    sr_need_running
    if [ "$#" -eq 0 ]; then
        vzctl_do 0 enter "$ctid"
        return
    fi
    if [ "$(generation)" = upstream ]; then
        confined "$@"
        return
    fi
    _enter_line=
    for _enter_word; do
        _enter_line="$_enter_line $(quoted "$_enter_word")"
    done
    vzctl_do 0 --quiet exec2 "$ctid" "${_enter_line# }"
}

# An ended container stays mounted, and so do its process id's file, its link and its groups.
clean() {
    is_gone || sr_fail "the container runs"
    case $(vzctl_do 20 status "$ctid" 2>/dev/null) in
        *' mounted '*)
            vzctl_do 40 umount "$ctid" >"$vz/out" 2>&1 ||
                sr_fail "the container's root could not be unmounted: $(said)"
            ;;
    esac
    rm -f "$vz/init" "$vepid" "$SR_ROOT/run/netns/$ctid"
    for _clean_group in "$SR_SYS"/fs/cgroup/*/"vz-$ctid"; do
        [ -d "$_clean_group" ] || continue
        sr_wait_for 10 "the control group $_clean_group to be empty" sr_remove_group "$_clean_group"
    done
}

sr_runtime "$@"
