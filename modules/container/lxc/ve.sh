#!/bin/sh
# The settings of [ve], named as in ve.conf(5), as far as LXC has them: limits become the control
# groups'. Where a setting is a pair BARRIER:LIMIT, the limit counts. What has no counterpart is
# said at boot.
set -eu
# shellcheck source=modules/container/lxc/common.sh
. "${0%/*}/common.sh"

ve_mapped=" HOSTNAME IP_ADDRESS CAPABILITY DEVNODES PHYSPAGES SWAPPAGES CPUS CPULIMIT CPUUNITS CPUMASK NUMPROC "

# limit_of PAIR: the limit, empty for none (unlimited; 2^63-1 is what vzctl writes for it).
limit_of() {
    case ${1#*:} in
        unlimited | 9223372036854775807) ;;
        *) printf '%s\n' "${1#*:}" ;;
    esac
}

# bytes_of NAME NUMBER: with a suffix K, M, G or T; pages of 4 KiB without one, as ve.conf has it.
bytes_of() {
    _number=${2%[KkMmGgTtPp]}
    if ! sr_check_int "$_number" || [ "$_number" -lt 0 ]; then
        sr_fail "[ve] $1 = $2 is no amount of memory" "pages, or a number with K, M, G or T: 0:2G"
    fi
    case $2 in
        *[Kk]) echo "$((_number * 1024))" ;;
        *[Mm]) echo "$((_number * 1048576))" ;;
        *[Gg]) echo "$((_number * 1073741824))" ;;
        *[Tt]) echo "$((_number * 1099511627776))" ;;
        *) echo "$((_number * 4096))" ;;
    esac
}

# number_of NAME VALUE
number_of() {
    if ! sr_check_int "$2" || [ "$2" -lt 0 ]; then
        sr_fail "[ve] $1 = $2 is no number"
    fi
    printf '%s\n' "$2"
}

# set_limit V2NAME V2VALUE V1NAME V1VALUE: whichever the hierarchy has.
set_limit() {
    if [ "$SR_LXC_CGROUP" = v2 ]; then
        printf 'lxc.cgroup2.%s = %s\n' "$1" "$2"
    else
        printf 'lxc.cgroup.%s = %s\n' "$3" "$4"
    fi
}

ve_config() {
    ve_memory
    ve_processor
    _ve_processes=$(limit_of "${SR_VE_NUMPROC:-unlimited}")
    if [ -n "$_ve_processes" ]; then
        _ve_processes=$(number_of numproc "$_ve_processes")
        set_limit pids.max "$_ve_processes" pids.max "$_ve_processes"
    fi
    ve_unmapped
}

ve_memory() {
    _ve_memory=$(limit_of "${SR_VE_PHYSPAGES:-unlimited}")
    _ve_swap=$(limit_of "${SR_VE_SWAPPAGES:-unlimited}")
    if [ -n "$_ve_memory" ]; then
        _ve_memory=$(bytes_of physpages "$_ve_memory")
        set_limit memory.max "$_ve_memory" memory.limit_in_bytes "$_ve_memory"
    fi
    [ -n "$_ve_swap" ] || return 0
    _ve_swap=$(bytes_of swappages "$_ve_swap")
    if [ "$SR_LXC_CGROUP" = v2 ]; then
        set_limit memory.swap.max "$_ve_swap" '' ''
    elif [ -n "$_ve_memory" ]; then
        # Version 1 counts both together.
        set_limit '' '' memory.memsw.limit_in_bytes "$((_ve_memory + _ve_swap))"
    else
        sr_warn "[ve] swappages counts only with physpages where cgroup = $SR_LXC_CGROUP"
    fi
}

ve_processor() {
    # cpulimit is a share of one processor, in percent; cpus so many whole ones: the lesser counts.
    _ve_percent=$(number_of cpulimit "${SR_VE_CPULIMIT:-0}")
    _ve_cpus=$(number_of cpus "${SR_VE_CPUS:-0}")
    if [ "$_ve_cpus" -gt 0 ] && { [ "$_ve_percent" -eq 0 ] || [ "$((_ve_cpus * 100))" -lt "$_ve_percent" ]; }; then
        _ve_percent=$((_ve_cpus * 100))
    fi
    [ "$_ve_percent" -eq 0 ] ||
        set_limit cpu.max "$((_ve_percent * 1000)) 100000" cpu.cfs_quota_us "$((_ve_percent * 1000))"
    _ve_units=$(number_of cpuunits "${SR_VE_CPUUNITS:-0}")
    if [ "$_ve_units" -gt 0 ]; then
        # 1000 units are what everything has by default: a weight of 100, 1024 shares.
        _ve_weight=$((_ve_units / 10))
        [ "$_ve_weight" -ge 1 ] || _ve_weight=1
        [ "$_ve_weight" -le 10000 ] || _ve_weight=10000
        set_limit cpu.weight "$_ve_weight" cpu.shares "$((_ve_units * 1024 / 1000 + 2))"
    fi
    case ${SR_VE_CPUMASK:-all} in
        all) ;;
        *[!0-9,-]*) sr_fail "[ve] cpumask = $SR_VE_CPUMASK is no list of processors" "0-3,6" ;;
        *) set_limit cpuset.cpus "$SR_VE_CPUMASK" cpuset.cpus "$SR_VE_CPUMASK" ;;
    esac
}

ve_unmapped() {
    _ve_names=
    for _ve_name in $(env | sed -n 's/^SR_VE_\([A-Z0-9_]*\)=..*$/\1/p' | sort); do
        case $ve_mapped in
            *" $_ve_name "*) ;;
            *) _ve_names="$_ve_names $(printf '%s' "$_ve_name" | tr '[:upper:]' '[:lower:]')" ;;
        esac
    done
    [ -z "$_ve_names" ] || sr_warn "LXC has nothing for these settings of [ve]:$_ve_names"
}
