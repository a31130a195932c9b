#!/bin/sh
# The boot, point by point: runs the modules' scripts in the order of $SR_HOME/runs, each as a
# process; stops at the first that fails, says why in one block, and goes on from there on `resume`.
# PID 1 starts it and takes over when it ends; see builder/srbuild/spine.py for the files it reads.
set -eu

# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=hooks/lib/values.sh
. "$SR_LIB/values.sh"
# shellcheck source=hooks/lib/report.sh
. "$SR_LIB/report.sh"
# shellcheck source=hooks/lib/osr.sh
. "$SR_LIB/osr.sh"

# Run a command with its output on the console, in the log and in $SR_RUN/output. The reader is
# not waited for longer than 2 seconds: a daemon may hold its pipe.
logged() {
    _logged_pipe=$SR_RUN/pipe
    # The last one serves again, unless somebody still writes into it.
    if [ ! -f "$SR_RUN/read" ]; then
        rm -f "$_logged_pipe"
        mkfifo "$_logged_pipe"
    else
        rm -f "$SR_RUN/read"
    fi
    {
        tee -a "$SR_RUN/log" "$SR_RUN/output" || :
        : >"$SR_RUN/read"
    } <"$_logged_pipe" &
    _logged_status=0
    "$@" >"$_logged_pipe" 2>&1 || _logged_status=$?
    sr_wait_for 2 "the last output" test -f "$SR_RUN/read" 2>/dev/null || :
    return "$_logged_status"
}

# execute SCRIPT SECONDS: as a process, with the options' values in its environment.
execute() (
    sr_values_export "$SR_MODULE"
    _execute_flags=-eu
    if sr_cmdline rd.debug >/dev/null && sr_is_on rd.debug 0; then
        if sr_has_secret "$SR_MODULE"; then
            sr_log "not traced: it handles a secret"
        else
            _execute_flags=-eux
        fi
    fi
    if [ "$2" -eq 0 ]; then
        exec sh "$_execute_flags" "$1"
    fi
    exec "$SR_TIMEOUT" -k 5 "$2" sh "$_execute_flags" "$1"
)

# One attempt at a script; the notes of an earlier one are gone.
attempt() {
    for _attempt_note in why hint command output; do
        : >"$SR_RUN/$_attempt_note"
    done
    logged execute "$1" "$2"
}

# summary SCRIPT STATUS SECONDS: the block that tells a person what happened and what to do.
summary() {
    _summary_status=$2
    case $2 in
        124 | 137) [ "$3" -eq 0 ] || _summary_status="$2 (no end after $3 s?)" ;;
    esac
    sr_rule
    echo "srbuild: the boot stopped at the point '$SR_POINT', in the module '$SR_MODULE'"
    sr_fact script "$1"
    sr_fact status "$_summary_status"
    sr_note command
    sr_note why
    sr_note hint
    sr_last_lines "$SR_RUN/output"
    if [ "$shell" = 0 ]; then
        echo "  rd.shell=0: this machine reboots in $delay s"
    else
        echo '  what you can do:'
        echo '    resume   run this script again and go on with the boot'
        echo '    sr-log   read the whole log'
        echo '    reboot   leave the cluster, detach the storage and reboot'
    fi
    sr_rule
}

# A shell on the console until a person says `resume`. One that ends at once, three times in
# turn, has no person in front of it.
shell_until_resume() {
    rm -f "$SR_RUN/resume"
    _shell_short=0
    while [ ! -f "$SR_RUN/resume" ]; do
        if [ "$_shell_short" -ge 3 ]; then
            sr_log "no input on the console; this machine reboots in $delay s"
            sr_reboot_later "$delay"
        fi
        _shell_start=$(sr_uptime)
        sr_console_shell "$SR_POINT"
        if [ "$(($(sr_uptime) - _shell_start))" -lt 2 ]; then
            _shell_short=$((_shell_short + 1))
        else
            _shell_short=0
        fi
        [ -f "$SR_RUN/resume" ] || echo "srbuild: type resume to go on with the boot"
    done
}

# stopped SCRIPT STATUS SECONDS: report, then wait for a person or reboot.
stopped() {
    summary "$@" | tee -a "$SR_RUN/log"
    [ "$shell" != 0 ] || sr_reboot_later "$delay"
    shell_until_resume
}

# asked POINT: with rd.srb.step, ask what to do before it. Ten seconds without an answer go on.
asked() {
    if [ -n "$step" ] && [ "$step" != "$1" ]; then
        return 0
    fi
    echo "srbuild: step: next is the point '$1'"
    while :; do
        echo '  Enter: go on; s: a shell; c: go on without asking; POINT: ask again before that; list'
        _asked_answer=$("$SR_TIMEOUT" 10 sh "$SR_LIB/answer.sh") || return 0
        case $_asked_answer in
            '') return 0 ;;
            c | continue)
                step=none
                return 0
                ;;
            s | shell | break | quit)
                echo "srbuild: type resume to go on with the boot"
                shell_until_resume
                return 0
                ;;
            list) cat "$SR_HOME/points" ;;
            *)
                if sr_point_of "$_asked_answer"; then
                    step=$point_of
                    return 0
                fi
                echo "srbuild: step: there is no point '$_asked_answer'"
                ;;
        esac
    done
}

# before POINT: open a shell there when rd.break asks for it.
before() {
    [ "$step" = none ] || asked "$1"
    _before_point=$(sr_cmdline rd.break) || return 0
    [ "${_before_point:-handover}" = "$1" ] || return 0
    echo "srbuild: rd.break: this is before the point '$1'; type resume to go on with the boot"
    shell_until_resume
}

load_values() {
    SR_MODULE=values
    until (
        sr_values_load
    ) >"$SR_RUN/output" 2>&1; do
        stopped "$SR_LIB/values.sh" 1 0
    done
    SR_MODULE=
}

# now: set $now to the seconds since the kernel started, with two decimals.
now() {
    read -r now _ <"$SR_PROC/uptime"
}

# noted NAME BEGIN: it ended now. NAME is a point, or POINT/MODULE/SCRIPT.
noted() {
    now
    printf '%s %s %s\n' "$1" "$2" "$now" >>"$SR_RUN/times"
}

# tell_times: one line about where the boot's seconds went, read again by srbuild/lab/times.py.
# When the image was unpacked only the kernel knows.
tell_times() {
    _times_line=$("$SR_TIMEOUT" -k 5 10 dmesg 2>/dev/null | awk '
        source == "log" && /npack.* initramfs/ { unpack = substr($0, 2) + 0; next }
        source == "log" && /Freeing initrd memory/ { freed = substr($0, 2) + 0; next }
        source == "log" || NF != 3 { next }
        $1 == "kernel" { kernel = $3; next }
        split($1, part, "/") == 3 {
            scripts[part[1]] = scripts[part[1]] sprintf(", %s/%s %.2f", part[2], part[3], $3 - $2)
            next
        }
        !($1 in spent) { order[++points] = $1 }
        { spent[$1] += $3 - $2; end[$1] = $3 }
        END {
            last = ("mount" in scripts) ? "mount" : order[points]
            printf "%s after %.2f s, %.2f of them init: kernel %.2f", \
                last == "mount" ? "root mounted" : "booted", end[last], end[last] - kernel, kernel
            if (freed > unpack && unpack > 0)
                printf " (unpacking %.2f)", freed - unpack
            for (i = 1; i <= points; i++)
                if (order[i] in scripts)
                    printf "; %s %.2f (%s)", order[i], spent[order[i]], substr(scripts[order[i]], 3)
        }' source=log - source=times "$SR_RUN/times")
    SR_POINT='times'
    sr_log "$_times_line"
    sr_log "$_times_line" 2>>"$SR_RUN/log"
}

# pass POINT: run its scripts.
pass() {
    SR_POINT=$1
    export SR_POINT SR_MODULE
    before "$1"
    now
    _pass_begin=$now
    # On a descriptor of its own: scripts may read stdin.
    while read -r _pass_point _pass_module _pass_script _pass_limit <&4; do
        [ "$_pass_point" = "$1" ] || continue
        SR_MODULE=$_pass_module
        _pass_status=0
        now
        _pass_start=$now
        attempt "$_pass_script" "$_pass_limit" 4<&- || _pass_status=$?
        while [ "$_pass_status" -ne 0 ]; do
            stopped "$_pass_script" "$_pass_status" "$_pass_limit" 4<&-
            load_values
            SR_MODULE=$_pass_module
            _pass_status=0
            attempt "$_pass_script" "$_pass_limit" 4<&- || _pass_status=$?
        done
        _pass_script=${_pass_script##*/}
        noted "$1/$_pass_module/${_pass_script%.sh}" "$_pass_start"
    done 4<"$SR_HOME/runs"
    SR_MODULE=
    noted "$1" "$_pass_begin"
}

mkdir -p "$SR_RUN/state"
sr_cmdline_parse <"$SR_PROC/cmdline" >"$SR_RUN/cmdline"
sr_cmdline_without_disk
touch "$SR_RUN/log"
sr_osr_translate
shell=1
sr_has_person || shell=0
# Before which point to ask: none, one of them, or every one.
step=none
if [ "$shell" = 1 ] && sr_cmdline rd.srb.step >/dev/null && sr_is_on rd.srb.step 0; then
    step=
fi
delay=$(sr_reboot_delay)

load_values
while read -r point <&5; do
    [ "$point" != cleanup ] || continue
    pass "$point" 5<&-
    # The node's own values are there from now on.
    [ "$point" != identity ] || load_values
done 5<"$SR_HOME/points"
tell_times
