#!/bin/sh
# Runs the container on the shared root: starts it, waits for its end, does what the policy says,
# and takes orders (srctl). PID 1 starts it, again and again should it die: all that it knows stands
# in $SR_CT (lib/ct.sh), and a container that runs already is taken over.
#
# As `supervisor waiter` it is the process that waits for the container's end.
set -eu

# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=hooks/lib/ct.sh
. "$SR_LIB/ct.sh"
# shellcheck source=hooks/lib/report.sh
. "$SR_LIB/report.sh"
SR_POINT=supervisor
SR_MODULE=
export SR_POINT SR_MODULE

LOOK=60      # seconds after which the container is looked at although nobody said anything
SOON=5       # seconds: a reboot that soon after the start is taken for a crash
START=180    # seconds that the runtime may take to start it

# Say something on the console and in the log.
say() {
    sr_log "$@" 2>&1 | tee -a "$SR_RUN/log"
}

# call SECONDS VERB…: as sr_ct_call, what it says on the console, in the log and in $SR_CT/output.
call() {
    rm -f "$SR_RUN/why" "$SR_RUN/hint" "$SR_RUN/command"
    _call_status=0
    sr_ct_call "$@" >"$SR_CT/output" 2>&1 3>&- || _call_status=$?
    tee -a "$SR_RUN/log" <"$SR_CT/output"
    return "$_call_status"
}

# nap SECONDS: until somebody wakes us, or for SECONDS (0: however long).
nap() {
    "$SR_TIMEOUT" "$1" head -c 1 <&3 >/dev/null || :
}

wait_for_end() {
    _end=$(sr_ct_call 0 wait | head -n 1) || _end=
    case $_end in
        reboot | halt | 'crash '*) ;;
        *) _end="crash how it ended could not be told" ;;
    esac
    sr_ct_put ending "$_end"
    sr_ct_poke
}

# --- the container's life -------------------------------------------------------------------------

# Start it, unless it runs or has come to an end that nobody has looked at. Fails when it can't be.
begin() {
    pid=$(sr_ct_init) || pid=
    if [ -n "$pid" ]; then
        say "taking over the container that runs (its init is process $pid)"
    fi
    case $(sr_ct_get state) in
        running*) return 0 ;;
    esac
    if [ -n "$pid" ]; then
        sr_ct_state running
        return 0
    fi
    sr_ct_state starting
    call 60 clean || say "what an earlier container left could not all be removed"
    if call "$START" start; then
        _begin_said="has run, and ended at once" # how, its runtime will tell
        ! pid=$(sr_ct_init) || _begin_said="runs; its init is process $pid"
        sr_ct_put starts "$(($(sr_ct_get starts 0) + 1))"
        sr_ct_state running
        say "the container $_begin_said"
        return 0
    fi
    sr_ct_state stopped
    _begin_why=$(head -n 1 "$SR_RUN/why" 2>/dev/null | sr_printable)
    answer 1 "the container could not be started: ${_begin_why:-srctl logs}"
    ended "crash it could not be started: ${_begin_why:-no reason known}"
    return 1
}

# Wait for the container's end or for an order that ends it.
attend() {
    sr_ct_end_waiter
    rm -f "$SR_CT/ending"
    setsid sh "$0" waiter </dev/null >/dev/null 2>&1 3>&- &
    sr_ct_put waiter "$!"
    while :; do
        obey || return 0
        if [ -s "$SR_CT/ending" ]; then
            _attend_how=$(sr_ct_get ending)
            rm -f "$SR_CT/ending" "$SR_CT/waiter"
            ended "$_attend_how"
            return 0
        fi
        nap "$LOOK"
        if [ ! -s "$SR_CT/ending" ] && ! sr_ct_init >/dev/null; then
            # Both at once: give who waits for it the time to say how it ended.
            sr_wait_for 10 "how the container ended" test -s "$SR_CT/ending" 2>/dev/null ||
                sr_ct_put ending "crash it is gone, and nobody saw it end"
        fi
    done
}

# ended HOW: it did, by itself. What follows is policy.
ended() {
    how=$1
    read -r _ended_state _ended_since <<END
$(sr_ct_get state)
END
    lived=$(($(sr_uptime) - ${_ended_since:-0}))
    [ "$_ended_state" = running ] || lived=0
    sr_ct_put last "$how"
    say "the container ended after $lived s: $how"
    call 60 clean || say "what the container left could not all be removed"
    sr_ct_state stopped
    if [ "$how" = reboot ] && [ "$lived" -lt "$SOON" ]; then
        how="crash it rebooted $lived s after its start"
    fi
    case $how in
        reboot) follow "$SR_SUPERVISOR_ON_REBOOT" "it asked for a reboot" ;;
        halt) follow "$SR_SUPERVISOR_ON_HALT" "it was halted or powered off" ;;
        *) crashed "${how#crash }" ;;
    esac
}

# follow POLICY REASON
follow() {
    case $1 in
        restart) ;;
        poweroff | reboot) leave "$1" ;;
        *) stay_out "$2" ;;
    esac
}

stay_out() {
    sr_ct_put reason "$1"
    sr_ct_put wanted stay
}

# The machine goes down; the shutdown never comes back.
leave() {
    say "the machine goes down ($1)"
    exec setsid sh "$SR_HOME/shutdown" "$1" 3>&-
}

# crashed WHY: count it, and start the container again after a pause that doubles each time.
crashed() {
    if [ "$SR_SUPERVISOR_ON_CRASH" != restart ]; then
        follow "$SR_SUPERVISOR_ON_CRASH" "crash: $1"
        return
    fi
    _crash_now=$(sr_uptime)
    _crash_since=$((_crash_now - SR_SUPERVISOR_CRASH_WINDOW))
    {
        awk -v since="$_crash_since" '$1 >= since' "$SR_CT/crashes" 2>/dev/null || :
        echo "$_crash_now"
    } >"$SR_CT/crashes.new"
    mv "$SR_CT/crashes.new" "$SR_CT/crashes"
    _crash_count=$(awk 'END { print NR }' "$SR_CT/crashes")
    if [ "$_crash_count" -gt "$SR_SUPERVISOR_CRASH_LIMIT" ]; then
        stay_out "crash $_crash_count within $SR_SUPERVISOR_CRASH_WINDOW s, the last: $1"
        return
    fi
    _crash_pause=1
    _crash_left=$_crash_count
    while [ "$_crash_left" -gt 1 ] && [ "$_crash_pause" -lt "$SR_SUPERVISOR_CRASH_PAUSE" ]; do
        _crash_pause=$((_crash_pause * 2))
        _crash_left=$((_crash_left - 1))
    done
    [ "$_crash_pause" -le "$SR_SUPERVISOR_CRASH_PAUSE" ] || _crash_pause=$SR_SUPERVISOR_CRASH_PAUSE
    say "crash $_crash_count of $SR_SUPERVISOR_CRASH_LIMIT that are put up with; starting again in $_crash_pause s"
    pause "$_crash_pause"
}

# pause SECONDS: unless an order comes first.
pause() {
    _pause_end=$(($(sr_uptime) + $1))
    while obey && [ "$(sr_uptime)" -lt "$_pause_end" ]; do
        nap 1
    done
}

# --- orders ---------------------------------------------------------------------------------------

# answer STATUS TEXT: to the order that is dealt with, if there is one.
answer() {
    [ -n "$order" ] || return 0
    sr_ct_put "answers/.new" "$*"
    mv "$SR_CT/answers/.new" "$SR_CT/answers/$order"
    order=
}

# Carry out what was ordered. Status 1 when the container is not to be waited for any more, be it
# stopped or to be started.
obey() {
    for _obey_file in "$SR_CT/orders"/*; do
        [ -f "$_obey_file" ] || continue
        read -r _obey_word <"$_obey_file" || _obey_word=
        case $_obey_word in
            # Its end comes first, or it would be taken for that of the one to be started.
            start | restart) ! has_an_unseen_end || continue ;;
        esac
        order=${_obey_file##*/}
        rm -f "$_obey_file"
        case $_obey_word in
            start)
                if [ "$(sr_ct_get wanted)" = run ] && sr_ct_init >/dev/null; then
                    answer 0 "the container runs already"
                    continue
                fi
                sr_ct_put wanted run
                return 1
                ;;
            stop)
                if [ "$(sr_ct_get wanted)" = stay ] && ! sr_ct_init >/dev/null; then
                    answer 0 "the container is stopped already"
                    continue
                fi
                halt_by_order
                stay_out "it was stopped by srctl"
                answer "$halt_status" "$halt_text"
                return 1
                ;;
            restart)
                halt_by_order
                if [ "$halt_status" -ne 0 ]; then
                    stay_out "it could not be stopped for a restart"
                    answer "$halt_status" "$halt_text"
                else
                    sr_ct_put wanted run
                fi
                return 1
                ;;
            *) answer 2 "the supervisor knows no order like that" ;;
        esac
    done
}

# Has the container ended, and attend() does not know yet?
has_an_unseen_end() {
    case $(sr_ct_get state) in
        running*) ! sr_ct_init >/dev/null ;;
        *) return 1 ;;
    esac
}

halt_by_order() {
    halt_status=0 halt_text="the container is stopped"
    sr_ct_init >/dev/null || return 0
    sr_ct_state stopping
    say "stopping the container, by order"
    sr_ct_stop "$(sr_ct_stop_seconds)" >"$SR_CT/output" 2>&1 3>&- || halt_status=$?
    tee -a "$SR_RUN/log" <"$SR_CT/output"
    if [ "$halt_status" -ne 0 ]; then
        halt_text="the container could not be stopped (status $halt_status): srctl logs"
        return 0
    fi
    sr_ct_put last "stopped by srctl"
    rm -f "$SR_CT/ending"
    sr_ct_state stopped
}

# --- no container ---------------------------------------------------------------------------------

summary() {
    sr_rule
    echo "srbuild: the container does not run; this is the bootstrap"
    sr_fact runtime "$(sr_ct_get runtime)"
    sr_fact why "$(sr_ct_get reason)"
    sr_note command
    sr_note hint
    sr_last_lines "$SR_CT/output"
    echo '  what you can do:'
    echo '    srctl start     start the container again'
    echo '    srctl logs      read what is known of its end'
    echo '    sr-log          read the whole log'
    echo '    reboot          leave the cluster, detach the storage and reboot'
    sr_rule
}

# A shell on the console until the container is to run again.
stay() {
    sr_ct_state stopped
    summary | tee -a "$SR_RUN/log"
    rm -f "$SR_RUN/resume"
    shell_short=0
    [ "$shell" = 1 ] || forsaken "rd.shell=0"
    while obey && [ "$(sr_ct_get wanted)" = stay ]; do
        if [ -f "$SR_RUN/resume" ]; then
            rm -f "$SR_RUN/resume"
            sr_ct_put wanted run
        elif [ "$shell" = 0 ] || [ "$shell_short" -ge 3 ]; then
            nap "$LOOK"
        else
            open_shell
        fi
    done
}

# A crash with nobody at the console reboots the machine, as a boot that fails does; where the
# policy is to stay, and after a stop, there is nothing to hurry for.
forsaken() {
    case $SR_SUPERVISOR_ON_CRASH:$(sr_ct_get reason) in
        restart:crash*)
            say "$1: this machine reboots in $delay s"
            sr_reboot_later "$delay"
            ;;
    esac
    say "$1: waiting for orders (srctl)"
}

is_ordered() {
    for _ordered_file in "$SR_CT/orders"/*; do
        [ ! -f "$_ordered_file" ] || return 0
    done
    [ -f "$SR_RUN/resume" ]
}

# The shell ends when its user leaves it, or when an order is there, wherever it was given.
# One that ends at once, three times in turn, has no person in front of it.
open_shell() {
    _shell_start=$(sr_uptime)
    rm -f "$SR_CT/shell"
    {
        until is_ordered; do
            sr_pause
        done
        ! sr_alive "$SR_CT/shell" || kill -HUP "$_alive_pid"
    } 3>&- &
    _shell_listener=$!
    sr_console_shell container "$SR_CT/shell" 3>&-
    kill "$_shell_listener" 2>/dev/null || :
    rm -f "$SR_CT/shell"
    if [ "$(($(sr_uptime) - _shell_start))" -ge 2 ] || is_ordered; then
        shell_short=0
        return 0
    fi
    shell_short=$((shell_short + 1))
    [ "$shell_short" -lt 3 ] || forsaken "no input on the console"
}

# --- what happens ---------------------------------------------------------------------------------

if [ "${1-}" = waiter ]; then
    wait_for_end
    exit 0
fi
[ -s "$SR_CT/runtime" ] || sr_fail "no container was handed over"
sr_values_export supervisor
shell=1
sr_has_person || shell=0
delay=$(sr_reboot_delay)
mkdir -p "$SR_CT/orders" "$SR_CT/answers"
# A new one: what an earlier supervisor waited with may live on, and would take our word from it.
rm -f "$SR_CT/wake"
mkfifo "$SR_CT/wake"
: >>"$SR_CT/output"
exec 3<>"$SR_CT/wake"
order=
if [ -s "$SR_CT/leaving" ]; then
    read -r pid verb <"$SR_CT/leaving"
    while [ -d "$SR_PROC/$pid" ]; do
        nap 1
    done
    leave "${verb:-reboot}"
fi
while :; do
    if [ "$(sr_ct_get wanted run)" = stay ]; then
        stay
    elif begin; then
        answer 0 "the container runs; its init is process ${pid:-unknown}"
        attend
    fi
done
