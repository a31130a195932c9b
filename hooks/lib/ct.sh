# shellcheck shell=sh
# The container that the shared root runs in, as the bootstrap sees it: what the handover, the
# supervisor, srctl and the shutdown have in common. All that is known of it stands in $SR_CT:
#   runtime   the boot module that runs it; its runtime.sh does what is asked (sr_ct_call)
#   logs      the files that tell of it, one a line
#   state     WORD SINCE: stopped, starting, running, stopping or leaving; SINCE in seconds of uptime
#   wanted    run or stay: whether it is to run
#   reason    why it does not
#   last      how it ended last: reboot, halt or crash WHY…
#   starts    how many times it was started
#   orders/   what is asked of the supervisor, each a file; answers/ what became of it
#   wake      a FIFO: a line tells the supervisor to look
# shellcheck source=hooks/lib/values.sh
. "$SR_LIB/values.sh"

SR_CT=$SR_RUN/ct

# sr_ct_handover MODULE [LOG…]: have PID 1 supervise a container that MODULE's runtime.sh runs.
sr_ct_handover() {
    mkdir -p "$SR_CT/orders" "$SR_CT/answers"
    _handover_module=$1
    shift
    [ -f "$SR_HOME/modules/$_handover_module/runtime.sh" ] ||
        sr_fail "the module $_handover_module has no runtime.sh"
    sr_ct_put runtime "$_handover_module"
    printf '%s\n' "$@" >"$SR_CT/logs"
    sr_ct_put wanted run
    printf 'supervise\n' >"$SR_RUN/handover.new"
    mv "$SR_RUN/handover.new" "$SR_RUN/handover"
}

# sr_ct_put NAME LINE and sr_ct_get NAME [DEFAULT]: a file of $SR_CT, never half written.
sr_ct_put() {
    printf '%s\n' "$2" >"$SR_CT/$1.new.$$"
    mv "$SR_CT/$1.new.$$" "$SR_CT/$1"
}

sr_ct_get() {
    if [ -s "$SR_CT/$1" ]; then
        head -n 1 "$SR_CT/$1"
    else
        printf '%s\n' "${2-}"
    fi
}

sr_ct_state() {
    sr_ct_put state "$1 $(sr_uptime)"
}

# sr_ct_call SECONDS VERB [WORD…]: have the runtime do something, in SECONDS (0: however long).
sr_ct_call() (
    _call_limit=$1
    shift
    SR_MODULE=$(sr_ct_get runtime)
    SR_POINT=container
    [ -n "$SR_MODULE" ] || sr_fail "this machine runs no container" "its image was built without one: --container"
    export SR_MODULE SR_POINT
    sr_values_export "$SR_MODULE"
    set -- sh -eu "$SR_HOME/modules/$SR_MODULE/runtime.sh" "$@"
    [ "$_call_limit" -ne 0 ] || exec "$@"
    exec "$SR_TIMEOUT" -k 5 "$_call_limit" "$@"
)

# sr_ct_init: print the process id of the container's init; status 1 when it does not run.
sr_ct_init() {
    _init_status=$(sr_ct_call 20 status 2>/dev/null) || return 1
    case $_init_status in
        'running '*[!0-9]* | 'running ') return 1 ;;
        'running '*) printf '%s\n' "${_init_status#* }" ;;
        *) return 1 ;;
    esac
}

# Wake the supervisor, if there is one; what it is to see is written down before.
sr_ct_poke() {
    [ -p "$SR_CT/wake" ] || return 0
    echo | "$SR_TIMEOUT" 5 tee "$SR_CT/wake" >/dev/null || :
}

# sr_ct_order SECONDS WORD: give the supervisor an order and wait for its answer; its status,
# and what it has to say on stdout. 124 when there is no answer in SECONDS.
sr_ct_order() {
    _order_id=$(sr_uptime).$$
    printf '%s\n' "$2" >"$SR_CT/orders/.$_order_id"
    mv "$SR_CT/orders/.$_order_id" "$SR_CT/orders/$_order_id"
    sr_ct_poke
    if ! sr_wait_for "$1" "the supervisor's answer" test -f "$SR_CT/answers/$_order_id" 2>/dev/null; then
        rm -f "$SR_CT/orders/$_order_id"
        return 124
    fi
    read -r _order_status _order_text <"$SR_CT/answers/$_order_id"
    rm -f "$SR_CT/answers/$_order_id"
    printf '%s\n' "$_order_text"
    return "$_order_status"
}

# sr_ct_end_waiter: end the process that waits for the container's end.
sr_ct_end_waiter() {
    read -r _waiter_pid 2>/dev/null <"$SR_CT/waiter" || return 0
    rm -f "$SR_CT/waiter"
    if ! sr_check_int "$_waiter_pid" || [ "$_waiter_pid" -le 1 ]; then
        return 0
    fi
    # Whoever has that number now, if it is no longer it, is no leader of a group called so.
    case $(tr '\0' ' ' 2>/dev/null <"$SR_PROC/$_waiter_pid/cmdline") in
        *supervisor*waiter*) kill -KILL -- "-$_waiter_pid" 2>/dev/null || : ;;
    esac
}

# sr_ct_stop_seconds: print [supervisor] stop_seconds.
sr_ct_stop_seconds() (
    sr_values_export supervisor
    printf '%s\n' "${SR_SUPERVISOR_STOP_SECONDS:-60}"
)

# sr_ct_stop SECONDS: ask the container to shut down, end it by force after SECONDS.
sr_ct_stop() {
    sr_ct_end_waiter
    _stop_status=0
    sr_ct_call "$(($1 + 30))" stop "$1" || _stop_status=$?
    sr_ct_call 60 clean || sr_warn "what the container left could not all be removed"
    return "$_stop_status"
}

# sr_ct_leave VERB SECONDS: the machine is going down: stop the container for good. Only the
# shutdown does.
sr_ct_leave() {
    sr_ct_put leaving "$$ $1"
    sr_ct_state leaving
    sr_log "stopping the container"
    sr_ct_stop "$2" || sr_warn "the container could not be stopped (status $?)"
}
