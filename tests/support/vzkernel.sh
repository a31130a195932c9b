# shellcheck shell=sh
# In place of what the double of vzctl does with the kernel: the container's init is run as it is,
# nothing is mounted, and there are no control groups. VZ_ROOT holds all files.
: "${root=}" "${ctid=}" "${conf=}" "${pidfile=}" "${private=}" "${init=}" # vzctl's

has_groups() {
    :
}

is_mounted() {
    [ -e "$root/vz/lock/$ctid.mounted" ]
}

put_on() {
    : >"$root/vz/lock/$ctid.mounted"
}

take_off() {
    rm -f "$root/vz/lock/$ctid.mounted"
}

host_run() (
    _run_script=$1
    shift
    env VEID="$ctid" VE_CONFFILE="$conf" "$@" "$_run_script"
)

seems_to_run() {
    alive
}

make_groups() {
    ! grep -q ' cgroup2 ' "$root/proc/mounts"
}

remove_groups() {
    :
}

ct_run() {
    "$@"
}

ask_to_halt() {
    kill -USR2 "$(init_pid)"
}

run_init() {
    if [ ! -d "$private/proc" ]; then
        err "Failed to mount /proc: No such file or directory"
        return 1
    fi
    : >"$private/fastboot"
    rm -f "$root/go"
    mkfifo "$root/go"
    # The process is there, and becomes the init when it is told to.
    cat >"$root/becoming" <<'END'
read -r _ <"$1" && exec "$2" -z
END
    setsid sh "$root/becoming" "$root/go" "$private$init" </dev/null >/dev/null 2>&1 &
    printf '%s' "$!" >"$pidfile"
    if add_devices; then
        echo go >"$root/go"
    else
        kill -KILL "$(init_pid)"
    fi
}
