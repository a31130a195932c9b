#!/bin/sh
# Keeps the limit that [core] shutdown_limit sets to a shutdown, from its first moment on, whatever
# hangs: it runs in the bootstrap's memory alone and waits for nobody.
#
#   guard begin VERB   the machine goes down from now on, and is to VERB; called by the shutdown
#   guard watch        started before another init takes the machine over: begins by itself when
#                      that one goes down
#   guard notice       a unit of the root's systemd, which ends it when the machine goes down
#
# State in $SR_RUN/shutdown: `noticed` (systemd goes down), `begun` (since when, in seconds of uptime),
# `verb`, `own` (the bootstrap's own shutdown runs), `guard` (the process that counts).
set -u
PATH=$PATH:/usr/lib/srbuild/applets
export PATH
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=hooks/lib/strangers.sh
. "$SR_LIB/strangers.sh"
# shellcheck source=hooks/lib/values.sh
. "$SR_LIB/values.sh"
SR_POINT=guard
SR_MODULE=
state=$SR_RUN/shutdown

# On the console and in the log; a console that takes nothing must not stop us.
say() {
    sr_log "$@" 2>&1 | tee -a "$SR_RUN/log" >>"$SR_DEV/console" &
}

# Asked for once, at the start: the root's own shutdown ends processes that it does not know, and a
# limit whose reading is one of them would be none.
read_limit() (
    [ ! -f "$SR_RUN/values" ] || sr_values_export core
    printf '%s\n' "${SR_CORE_SHUTDOWN_LIMIT:-120}"
)

# Two seconds, unless asked for another number. `tail` has nothing to end for.
nap() {
    "$SR_TIMEOUT" "${1:-2}" tail -f /dev/null 2>/dev/null
}

alone() {
    read -r _alone_pid 2>/dev/null <"$state/guard" || return 0
    [ ! -d "$SR_PROC/$_alone_pid" ]
}

# --- how another init says that it goes down --------------------------------------------------------

# sysvinit shows its runlevel as its name; systemd's last act is a program of its own.
init_leaves() {
    _leaves_words=
    if [ -e "$state/noticed" ]; then
        sr_uptime >"$state/begun"
        return
    fi
    read -r _leaves_words 2>/dev/null <"$SR_PROC/1/cmdline" || :
    case $_leaves_words in
        *init*'[0]'*) echo poweroff >"$state/verb" ;;
        *init*'[6]'*) echo reboot >"$state/verb" ;;
        *systemd-shutdown*) ;;
        *) return 1 ;;
    esac
    sr_uptime >"$state/begun"
}

# --- the count --------------------------------------------------------------------------------------

begun() {
    read -r _begun_since 2>/dev/null <"$state/begun" && sr_check_int "$_begun_since"
}

# A new life for the machine unless this goes on: /dev/watchdog on descriptor 9 must hear of us.
pet() {
    echo >&9
}

# Have the kernel's watchdog, a device or software, end it all should this process hang.
watchdog_up() {
    [ -e "$SR_DEV/watchdog" ] || "$SR_TIMEOUT" 10 modprobe softdog soft_margin=20 2>/dev/null
    [ -e "$SR_DEV/watchdog" ]
}

# What the init of the root has not ended in time: systemd is told to hurry (SIGRTMIN+13 and on, as
# systemd(1) has them), and everything that is the root's is ended by force.
press() {
    say "the root's own shutdown takes too long: ending what is left of it"
    case $(cat "$state/verb" 2>/dev/null) in
        halt) _press_signal=47 ;;
        poweroff) _press_signal=48 ;;
        kexec) _press_signal=50 ;;
        *) _press_signal=49 ;;
    esac
    case $(cat "$SR_PROC/1/comm") in
        systemd) kill "-$_press_signal" 1 ;;
    esac
    sr_end_strangers 3
}

# The kernel ends it, asking nobody: what it can still write is written first, for 5 seconds.
over() {
    say "the limit of $limit s is near: what is not written yet is given 5 s"
    "$SR_TIMEOUT" -s KILL 5 sync 9>&- &
    nap 5
    if [ "$(cat "$state/verb" 2>/dev/null)" = poweroff ]; then
        say "the kernel turns the power off"
        echo o >"$SR_PROC/sysrq-trigger"
        nap 4
    fi
    say "the kernel restarts the machine"
    nap 1
    echo b >"$SR_PROC/sysrq-trigger"
}

# Count from $state/begun to the limit; come back when it was a false alarm.
count() {
    _count_press=$((limit * 5 / 8))
    begun || return
    say "the machine goes down, in $limit s at the latest"
    while begun; do
        pet
        _count_gone=$(($(sr_uptime) - _begun_since))
        if [ "$_count_press" -ge 0 ] && [ "$_count_gone" -ge "$_count_press" ]; then
            _count_press=-1
            # From then on the bootstrap's shutdown has its own way with processes.
            [ -e "$state/own" ] || press 9>&- &
        fi
        if [ "$_count_gone" -ge "$((limit - 10))" ]; then
            over
            return
        fi
        nap 1
    done
    say "the machine does not go down after all"
    printf V >&9
}

guarded() {
    if watchdog_up && count 9>"$SR_DEV/watchdog"; then
        return
    fi
    count 9>/dev/null
}

mkdir -p "$state"
limit=$(read_limit)
case ${1-} in
    begin)
        [ -f "$state/begun" ] || sr_uptime >"$state/begun"
        echo "$2" >"$state/verb"
        : >"$state/own"
        alone || exit 0
        guarded &
        echo "$!" >"$state/guard"
        ;;
    watch)
        while :; do
            if begun || init_leaves; then
                guarded
            fi
            nap
        done &
        echo "$!" >"$state/guard"
        ;;
    notice)
        # Started again, it was nothing.
        rm -f "$state/noticed" "$state/begun"
        trap ': >"$state/noticed"; exit 0' TERM
        while :; do
            "$SR_TIMEOUT" 3600 tail -f /dev/null &
            wait "$!"
        done
        ;;
    *)
        echo "usage: guard begin VERB | watch | notice" >&2
        exit 2
        ;;
esac
