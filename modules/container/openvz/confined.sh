#!/bin/sh
# What is run in a container on a mainline kernel is run with the capabilities of its init. vzctl gives
# it all of the node's, with which a program of the shared root is free to leave.
set -eu
# shellcheck source=modules/container/openvz/common.sh
. "${0%/*}/common.sh"

# bounds PID: print the capabilities that the process can have at all, as setpriv(1) takes them.
bounds() {
    _bounds_mask=$(sed -n 's/^CapBnd:[[:blank:]]*//p' "$SR_PROC/$1/status")
    case $_bounds_mask in
        '' | *[!0-9a-f]*) sr_fail "the kernel does not tell the capabilities of process $1" ;;
    esac
    _bounds_mask=$((0x$_bounds_mask)) _bounds_list=-all _bounds_number=0
    while [ "$_bounds_number" -lt 63 ]; do
        [ $((_bounds_mask >> _bounds_number & 1)) -eq 0 ] || _bounds_list=$_bounds_list,+cap_$_bounds_number
        _bounds_number=$((_bounds_number + 1))
    done
    printf '%s\n' "$_bounds_list"
}

# confined COMMAND…: in the container's control groups and namespaces; COMMAND is the root's own, found
# by its shell. What it takes to get there is inheritable until it is there, should the container not
# have it (capabilities(7)).
confined() (
    _confined_bounds=$(bounds "$init") || exit
    for _confined_group in "$SR_SYS"/fs/cgroup/*/"vz-$ctid"; do
        [ ! -d "$_confined_group" ] || echo 0 >"$_confined_group/cgroup.procs"
    done
    set -- /bin/sh -c 'exec "$@"' sh "$@"
    set -- nsenter -t "$init" -m -u -i -n -p -r setpriv --inh-caps=-sys_admin,-sys_chroot "$@"
    set -- env -i HOME=/ TERM="${TERM:-linux}" \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
    exec "$SR_ROOT/usr/bin/setpriv" --inh-caps=+sys_admin,+sys_chroot \
        "$SR_ROOT/usr/bin/setpriv" --bounding-set="$_confined_bounds" busybox "$@"
)
