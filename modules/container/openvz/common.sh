#!/bin/sh
# What the scripts of this module have in common: where things are, and vzctl.
set -eu
vz=$SR_RUN/openvz
ctid=$SR_OPENVZ_CTID
private=${SR_OPENVZ_PRIVATE:-/vz/private/$ctid}
ct_root=${SR_OPENVZ_ROOT:-/vz/root/$ctid}
vepid=$SR_ROOT/var/lib/vzctl/vepid/$ctid
tracing=$SR_SYS/kernel/tracing/instances/srbuild
export private ct_root tracing # for those who read this file

# Which OpenVZ, as handover.sh found it.
generation() {
    cat "$vz/generation"
}

# vzctl_do SECONDS WORD…: vzctl, where its root can be pivoted (host.sh), for at most SECONDS
# (0: however long).
vzctl_do() {
    _vzctl_limit=$1
    shift
    case $(generation) in
        7 | 8 | 9) set -- vzctl --skipowner "$@" ;;
        *) set -- vzctl "$@" ;;
    esac
    [ "$(generation)" = 4 ] || set -- chroot "$SR_ROOT/.." "$@"
    # Without a limit somebody types: --foreground leaves the terminal to the command.
    if [ "$_vzctl_limit" -eq 0 ]; then
        set -- "$SR_TIMEOUT" --foreground 0 "$@"
    else
        set -- "$SR_TIMEOUT" -k 5 "$_vzctl_limit" "$@"
    fi
    printf '%s\n' "$*" >"$SR_RUN/command"
    "$@"
}

# start_time PID: when the process began, in ticks (proc(5), stat, field 22); status 1 for one that
# is gone or a zombie.
start_time() {
    _stat=$(cat "$SR_PROC/$1/stat" 2>/dev/null) || return 1
    _stat=${_stat##*) }
    case $_stat in
        Z* | X*) return 1 ;;
    esac
    printf '%s\n' "$_stat" | cut -d ' ' -f 20
}

# find_init: print the process id of the container's init: vzctl's note of it in upstream mode, else
# the process that the kernel says is the first of that container.
find_init() {
    if [ "$(generation)" = upstream ]; then
        _find_pid=$(cat "$vepid" 2>/dev/null) || return 1
        sr_check_int "$_find_pid" && [ "$_find_pid" -gt 1 ] || return 1
        printf '%s\n' "$_find_pid"
        return 0
    fi
    for _find_file in "$SR_PROC"/[0-9]*/status; do
        awk -v id="$ctid" '
            $1 == "envID:" && $2 == id { of = 1 }
            ($1 == "VPid:" && $2 == 1) || ($1 == "NSpid:" && NF > 2 && $NF == 1) { first = 1 }
            END { exit !(of && first) }' "$_find_file" 2>/dev/null || continue
        _find_pid=${_find_file%/status}
        printf '%s\n' "${_find_pid##*/}"
        return 0
    done
    return 1
}

# is_running: is the init there that was started last? Sets $init. Asks only the kernel: it answers
# at once, and vzctl status says "running" for ever where cgroup v2 is mounted as well.
is_running() {
    init='' init_start=''
    [ -s "$vz/init" ] || return 1
    read -r init init_start <"$vz/init"
    sr_check_int "$init" && [ -n "$init_start" ] && [ "$(start_time "$init")" = "$init_start" ]
}

is_gone() {
    ! is_running
}
