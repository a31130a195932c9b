#!/bin/sh
# runtime.sh VERB: what the supervisor, srctl and the shutdown have done with the container,
# as hooks/lib/runtime.sh has them.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
here=${0%/*}
# shellcheck source=hooks/lib/runtime.sh
. "$SR_LIB/runtime.sh"
# shellcheck source=modules/container/lxc/ending.sh
. "$here/ending.sh"
# shellcheck source=hooks/lib/hostfiles.sh
. "$SR_LIB/hostfiles.sh"

# --- start and wait -------------------------------------------------------------------------------

start() {
    ! is_running || sr_fail "the container runs already (its init is process $init)"
    rm -f "$lxc/status" "$lxc/target" "$lxc/init" "$lxc/pid" "$lxc/alive"
    # Mounts that are made before the container's namespaces stay together in them: its root can take
    # none of them off. Anew at every start, for what is in memory is to be empty then.
    [ ! -e "$lxc/applied" ] || sr_hostfiles_undo "$SR_SYSROOT"
    : >"$lxc/applied"
    sr_hostfiles_apply "$SR_SYSROOT"
    mkfifo "$lxc/alive"
    setsid sh -eu "$0" guard </dev/null >"$lxc/out" 2>&1 &
    sr_hint "srctl logs shows what LXC said; its configuration is $config"
    sr_wait_for "$SR_LXC_START_SECONDS" "the container's init" has_begun || {
        end_monitor
        sr_fail "the container's init did not run within $SR_LXC_START_SECONDS s"
    }
    if [ -f "$lxc/status" ] && ! has_run; then
        complaints
        read -r _start_status <"$lxc/status"
        sr_fail "lxc-start ended at once (status $_start_status)$(complaint)"
    fi
}

# Did the container that is over already run? lxc-start's status is 0 then, whatever ended it, or
# that of the post-stop hook's signal.
has_run() {
    read -r _run_status <"$lxc/status"
    read -r _run_target 2>/dev/null <"$lxc/target" || _run_target=
    [ "$_run_status" = 0 ] || [ "$_run_target" = reboot ]
}

complaints() {
    grep -ah ' ERROR ' "$log" 2>/dev/null | grep -av 'lxc\.seccomp' | tail -n 8 | sr_printable >&2 || :
    tail -n 4 "$lxc/out" | sr_printable >&2
}

# Over when lxc-start is, or when there is an init: that is then written down.
has_begun() {
    [ ! -f "$lxc/status" ] || return 0
    case $(lxc_tool 10 lxc-info -s -H 2>/dev/null) in
        *RUNNING*) ;;
        *) return 1 ;;
    esac
    _begun_pid=$(lxc_tool 10 lxc-info -p -H 2>/dev/null) || return 1
    sr_check_int "$_begun_pid" && [ "$_begun_pid" -gt 1 ] || return 1
    _begun_time=$(start_time "$_begun_pid") || return 1
    printf '%s %s\n' "$_begun_pid" "$_begun_time" >"$lxc/init.new"
    mv "$lxc/init.new" "$lxc/init"
}

# lxc-start's parent, in a session of its own: notes its status. The FIFO is open as long as it
# lives, which is how `wait` learns of its end without asking again and again.
guard() {
    exec 9<>"$lxc/alive"
    _guard_status=0
    run_monitor 9>&- || _guard_status=$?
    printf '%s\n' "$_guard_status" >"$lxc/status.new"
    mv "$lxc/status.new" "$lxc/status"
}

wait_for_end() {
    while is_running || has_monitor; do
        if [ -f "$lxc/status" ]; then
            sr_pause # lxc-start is gone; what it ran goes with it
        else
            # Ends with the guard, which holds the other end; half a minute in case that was killed.
            "$SR_TIMEOUT" 30 cat "$lxc/alive" >/dev/null 2>&1 || sr_pause
        fi
    done
    sr_wait_for 5 "lxc-start's status" test -f "$lxc/status" 2>/dev/null || :
    ending
}

# --- stop -----------------------------------------------------------------------------------------

is_over() {
    ! is_running && ! has_monitor
}

# Ask: systemd by the signal for a power off (SIGRTMIN+4: systemd(1); 34 is the first of libc's),
# every other init by its own command.
ask() {
    case $(readlink "$SR_PROC/$init/exe" 2>/dev/null) in
        */systemd) kill -38 "$init" ;;
        *) lxc_tool 10 lxc-attach --clear-env -- /bin/sh -c \
            'PATH=/usr/sbin:/usr/bin:/sbin:/bin; export PATH; poweroff' </dev/null >/dev/null 2>&1 ;;
    esac
}

stop() {
    sr_check_seconds "${1-}" || sr_fail "stop needs a number of seconds"
    if is_running; then
        ask || sr_warn "the container could not be asked to shut down (status $?)"
        if sr_wait_for "$1" "the container to shut down" is_over; then
            return 0
        fi
        sr_warn "the container is ended by force"
        lxc_tool 15 lxc-stop -k >/dev/null 2>&1 || :
    fi
    end_monitor
    sr_wait_for 10 "the end of the container" is_over ||
        sr_fail "the container could not be ended: process $init is still there" \
            "a process that waits for storage that is gone (state D) ends with the machine only"
}

# Kill lxc-start, and its container with it.
end_monitor() {
    ! has_monitor || kill -KILL "$_alive_pid" 2>/dev/null || :
    ! is_running || kill -KILL "$init" 2>/dev/null || :
}

# --- the rest -------------------------------------------------------------------------------------

console() {
    sr_need_running
    echo "srctl: this is the container's console; Ctrl-a q leaves it" >&2
    exec lxc-console -n "$ct" -P "$lxc" -t 0 -e ^a
}

enter() {
    sr_need_running
    [ "$#" -gt 0 ] || set -- /bin/sh -l
    exec lxc-attach -n "$ct" -P "$lxc" --clear-env -v "TERM=${TERM:-linux}" -v HOME=/root \
        -v PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin -- "$@" 2>"$lxc/attach"
}

clean() {
    is_over || sr_fail "the container runs"
    for _clean_group in "$SR_SYS"/fs/cgroup/lxc.*"$ct" "$SR_SYS"/fs/cgroup/*/lxc.*"$ct"; do
        [ -d "$_clean_group" ] || continue
        [ ! -e "$_clean_group/cgroup.kill" ] || echo 1 >"$_clean_group/cgroup.kill" || :
        sr_wait_for 10 "the control group ${_clean_group##*/} to be empty" sr_remove_group "$_clean_group"
    done
    remove_card
    rm -f "$lxc/alive" "$lxc/pid" "$lxc/init"
}

case ${1-} in
    guard) guard ;;
    *) sr_runtime "$@" ;;
esac
