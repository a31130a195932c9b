# shellcheck shell=sh
# What the double of vzctl does with the kernel: mounts, control groups, and the container's own
# processes. To be run by busybox' shell, which finds its applets without a PATH, as root; and a
# /usr/bin/setpriv that knows bounding sets is needed (util-linux).
# How the container's root is made, what waits for what, and with which capabilities things are run
# there was not recorded: for that the source of 4.11 was read.
: "${ctid=}" "${conf=}" "${lock=}" "${pidfile=}" "${private=}" "${ve_root=}" "${dist=}" "${init=}" # vzctl's
groups=/sys/fs/cgroup
PATHS=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# What the container's init keeps of its capabilities: 0xfdecffff.
CAPABILITIES="chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap
linux_immutable net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner sys_chroot
sys_ptrace sys_admin sys_boot sys_nice sys_resource sys_tty_config mknod lease audit_write
audit_control setfcap"

is_mounted() {
    grep -q " $ve_root " /proc/mounts
}

put_on() {
    mount -o bind "$private" "$ve_root"
}

# What is mounted below is not taken off: a busy root stays.
take_off() {
    umount "$ve_root" 2>/dev/null
}

# host_run SCRIPT [NAME=VALUE…]: with the environment that it has of the real one.
host_run() (
    _run_script=$1
    shift
    [ "$#" -gt 0 ] || set -- VE_CONFFILE="$conf"
    cd / && exec env -i HOME=/ PATH="$PATHS" TERM=linux VEID="$ctid" "$@" "$_run_script"
)

# --- control groups -------------------------------------------------------------------------------

has_groups() {
    awk -v at="$groups/" 'index($2 "/", at) == 1 && $3 ~ /^cgroup/ { found = 1 } END { exit !found }' /proc/mounts
}

# The container's directories in the hierarchies of version 1.
groups_of() {
    for _group in blkio cpu cpuacct cpuset devices freezer memory pids; do
        [ ! -d "$groups/$_group" ] || echo "$groups/$_group/vz-$ctid"
    done
}

# With version 2 beside the others it is said to run for ever.
seems_to_run() {
    [ -d "$groups/unified/vz-$ctid" ] || [ -n "$(cat "$groups/devices/vz-$ctid/cgroup.procs" 2>/dev/null)" ]
}

remove_groups() {
    groups_of | while read -r _group; do
        rmdir "$_group" 2>/dev/null
    done
}

# put GROUP FILE VALUE
put() {
    [ ! -e "$groups/$1/vz-$ctid/$2" ] || echo "$3" >"$groups/$1/vz-$ctid/$2"
}

# Settings as they were seen to be applied: of PHYSPAGES the barrier, SWAPPAGES and NUMPROC not.
make_groups() {
    for _group in cpu cpuset devices freezer memory; do
        [ -d "$groups/$_group" ] || return 1
    done
    ! grep -q ' cgroup2 ' /proc/mounts || mkdir -p "$groups/unified/vz-$ctid"
    groups_of | while read -r _group; do
        mkdir -p "$_group"
    done
    put cpuset cpuset.cpus "$(cat "$groups/cpuset/cpuset.cpus")"
    put cpuset cpuset.mems "$(cat "$groups/cpuset/cpuset.mems")"
    put cpu cpu.shares "$(setting CPUUNITS | sed 's/^$/1000/')"
    _limit=$(setting CPULIMIT)
    [ "${_limit:-0}" = 0 ] || put cpu cpu.cfs_quota_us "$((_limit * 1000))"
    _limit=$(setting PHYSPAGES)
    case ${_limit%%:*} in
        0) ;;
        *[!0-9]*) put memory memory.limit_in_bytes "${_limit%%:*}" ;;
        *) put memory memory.limit_in_bytes "$((${_limit%%:*} * 4096))" ;;
    esac
    put devices devices.deny a
    put devices devices.allow 'c *:* m'
    put devices devices.allow 'b *:* m'
    for _device in 1:3 1:5 1:7 1:8 1:9 5:2 '136:*'; do
        put devices devices.allow "c $_device rwm"
    done
}

# --- inside ---------------------------------------------------------------------------------------

join_groups() {
    for _group in $(groups_of); do
        echo 0 >"$_group/cgroup.procs"
    done
}

# bounded COMMAND…: in the container's groups, with its capabilities. The one that makes the mounts is
# inheritable until the last exec, should CAPABILITY take it away.
bounded() (
    join_groups
    _off=$(setting CAPABILITY | tr '[:upper:]' '[:lower:]')
    _bounds=-all
    for _name in $CAPABILITIES; do
        case " $_off " in
            *" $_name:off "*) ;;
            *) _bounds=$_bounds,+$_name ;;
        esac
    done
    exec /usr/bin/setpriv --inh-caps=+sys_admin /usr/bin/setpriv --bounding-set="$_bounds" /bin/busybox "$@"
)

# ct_run COMMAND…: in the container, whose root need not have what takes it there, with all of the
# node's capabilities.
ct_run() (
    join_groups
    exec /bin/busybox env -i HOME=/ TERM="${TERM:-linux}" PATH="$PATHS" \
        nsenter -t "$(init_pid)" -m -u -i -n -p -r "$@"
)

ask_to_halt() {
    ct_run /bin/sh -c 'exec halt' </dev/null
}

# `vzctl .inside CTID INIT`: the first process of the container, before it is its init. The text of
# what fails is the real one's; of the old root nothing is left but the shell that runs this, and of
# what is mounted below VE_ROOT nothing at all: the bind over itself is of one mount.
inside() {
    exec 5<>/dev/null
    mount -o bind "$ve_root" "$ve_root" || {
        echo "Can't bind-mount root $ve_root"
        exit 1
    }
    cd "$ve_root" || exit 1
    _old=$(mktemp -d vzctl-old-root.XXXXXX 2>/dev/null) || {
        echo "Can't mkdtemp vzctl-old-root.XXXXXX: Read-only file system"
        exit 1
    }
    pivot_root . "$_old" 2>/dev/null || {
        echo "Can't pivot_root(\".\", $_old): Invalid argument"
        rmdir "$_old"
        exit 1
    }
    cd /
    "/$_old/bin/busybox" mount -t proc proc /proc 2>/dev/null || {
        echo "Failed to mount /proc: No such file or directory"
        echo "Can't rmdir $_old: Device or resource busy"
        exit 1
    }
    umount -l "/$_old"
    rmdir "/$_old"
    mount -t sysfs sysfs /sys
    : >>/fastboot
    echo ready >&3
    read -r _ <&4
    exec <&5 >&5 2>&5 3>&- 4>&- 5>&-
    exec setpriv --inh-caps=-sys_admin "$1" -z
}

# The init is left to whoever takes in orphans, as by vzctl; it waits until all is set up.
run_init() {
    rm -f "$lock.ready" "$lock.go"
    mkfifo "$lock.ready" "$lock.go"
    exec 3<>"$lock.ready" 4<>"$lock.go"
    (
        bounded env -i HOME=/ TERM=linux setsid unshare -m -p -u -i -n -f sh "$0" .inside "$ctid" "$init"
        echo failed >&3
    ) >"$lock.said" 2>&1 &
    read -r _word <&3
    cat "$lock.said" >&2
    rm -f "$lock.ready" "$lock.go" "$lock.said"
    [ "$_word" = ready ] || return 1
    while read -r _pid; do
        if grep -q '^NSpid:.*[[:blank:]]1$' "/proc/$_pid/status"; then
            printf '%s' "$_pid" >"$pidfile"
        else
            kill -KILL "$_pid" # the one that has only waited for it
        fi
    done <"$groups/devices/vz-$ctid/cgroup.procs"
    mkdir -p /run/netns
    ln -sfn "/proc/$(init_pid)/ns/net" "/run/netns/$ctid"
    if add_devices; then
        set_up
        echo go >&4
    else
        kill -KILL "$(init_pid)"
    fi
    exec 3>&- 4>&-
}

# What the distribution's scripts do in the container before its init is let go.
set_up() {
    _servers=$(setting NAMESERVER)
    [ "$_servers" != inherit ] || _servers=$(sed -n 's/^nameserver *//p' /etc/resolv.conf | tr '\n' ' ')
    _asked=
    [ -z "$(setting HOSTNAME)" ] || _asked=SET_HOSTNAME
    [ -z "$_servers$(setting SEARCHDOMAIN)" ] || _asked="$_asked SET_DNS"
    for _what in $_asked; do
        _script=$(sed -n "s/^$_what=//p" "$dist")
        [ -n "$_script" ] || continue
        {
            printf 'HOSTNM=%s\nNAMESERVER="%s"\nSEARCHDOMAIN="%s"\n' \
                "$(setting HOSTNAME)" "$_servers" "$(setting SEARCHDOMAIN)"
            cat /etc/vz/dists/scripts/functions "/etc/vz/dists/scripts/$_script"
        } | ct_run /bin/sh
    done
}
