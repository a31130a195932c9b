#!/bin/sh
# What the scripts of this module have in common.
set -eu
lxc=$SR_RUN/lxc # LXC's own state
ct=ct           # the container's name
veth=srct0      # the node's end of its card
config=$lxc/config
log=$lxc/log

# run_monitor: lxc-start, as long as the container lives. Of an earlier one the log is kept.
run_monitor() {
    [ ! -f "$log" ] || mv "$log" "$lxc/log.old"
    "${SR_UNSHARE:-unshare}" -m sh -eu "${0%/*}/apart.sh" \
        lxc-start -F -n "$ct" -P "$lxc" -f "$config" -l INFO -o "$log" -p "$lxc/pid"
}

# remove_card: the node's end of a card on a bridge; the kernel removes it with the container's.
remove_card() {
    [ ! -d "$SR_SYS/class/net/$veth" ] || sr_run ip link del "$veth"
}

# lxc_tool SECONDS TOOL [WORD…]: one of LXC's programs, for our container. Its ERROR about a key
# `lxc.seccomp` is about nothing, and comes with every lxc-attach.
lxc_tool() {
    _tool_limit=$1 _tool_name=$2
    shift 2
    "$SR_TIMEOUT" -k 5 "$_tool_limit" "$_tool_name" -n "$ct" -P "$lxc" "$@"
}

# start_time PID: when the process began, in ticks since the kernel did (proc(5), stat, field 22).
start_time() {
    _stat=$(cat "$SR_PROC/$1/stat" 2>/dev/null) || return 1
    # What stands in brackets is the program's name, whatever that is; field 3 follows it.
    printf '%s\n' "${_stat##*) }" | cut -d ' ' -f 20
}

# is_running: is the init there that was started last? Sets $init. Asks only the kernel, which
# answers whatever has become of LXC.
is_running() {
    init='' init_start=''
    [ -s "$lxc/init" ] || return 1
    read -r init init_start <"$lxc/init"
    sr_check_int "$init" && [ "$(start_time "$init")" = "$init_start" ] && [ -n "$init_start" ]
}

is_gone() {
    ! is_running
}

# has_monitor: is lxc-start there?
has_monitor() {
    sr_alive "$lxc/pid"
}
