# shellcheck shell=sh
# The library that every boot script reads first: messages, state, waiting, bounded commands.
#
#   . /usr/lib/srbuild/lib/base.sh
#
# Scripts run as processes under `sh -eu`; their exit status is the contract. SR_ROOT stands before
# every path and is empty at boot (PID 1 starts the spine with an empty environment): tests set it.
SR_ROOT=${SR_ROOT:-}
SR_HOME=${SR_HOME:-$SR_ROOT/usr/lib/srbuild}
SR_LIB=$SR_HOME/lib
SR_ETC=$SR_ROOT/etc/srbuild
SR_RUN=$SR_ROOT/run/srbuild
SR_PROC=$SR_ROOT/proc
SR_SYS=$SR_ROOT/sys
SR_DEV=$SR_ROOT/dev
SR_SYSROOT=$SR_ROOT/sysroot
# By its path: busybox ash prefers its own applet, whose watcher holds pipes open for a second.
SR_TIMEOUT=${SR_TIMEOUT:-/usr/bin/timeout}
export SR_ROOT SR_HOME SR_LIB SR_ETC SR_RUN SR_PROC SR_SYS SR_DEV SR_SYSROOT SR_TIMEOUT
SR_POINT=${SR_POINT:-boot}
SR_MODULE=${SR_MODULE:-}
# For `read`: a command substitution would be a process.
SR_TAB='	'

# --- messages ---------------------------------------------------------------------------------

# Say something to the person at the console and to the log, with the seconds since the kernel
# started. To stderr, so that functions whose output is captured can speak too.
sr_log() {
    read -r _log_time _ <"$SR_PROC/uptime" || _log_time=0
    printf '[%7s] srbuild: %s: %s%s\n' "$_log_time" "$SR_POINT" "${SR_MODULE:+$SR_MODULE: }" "$*" >&2
}

sr_warn() {
    sr_log "warning: $*"
}

# sr_hint TEXT: what a person can do if this script fails from here on.
sr_hint() {
    printf '%s\n' "$*" >"$SR_RUN/hint"
}

# sr_fail MESSAGE [HINT]: end this script; the summary block shows both.
sr_fail() {
    printf '%s\n' "$1" >"$SR_RUN/why"
    [ "$#" -lt 2 ] || sr_hint "$2"
    sr_log "failed: $1"
    exit 1
}

# --- state ------------------------------------------------------------------------------------

_sr_check_name() {
    case $1 in
        '' | *[!A-Z0-9_]*) sr_fail "a state's name is of A-Z, 0-9 and _, not: $1" ;;
    esac
}

# sr_put NAME VALUE: keep a value for later scripts (and for the shutdown). Scripts run one after the
# other, so nobody reads it meanwhile.
sr_put() {
    _sr_check_name "$1"
    [ -d "$SR_RUN/state" ] || mkdir -p "$SR_RUN/state"
    printf '%s\n' "$2" >"$SR_RUN/state/$1"
}

# sr_get NAME [DEFAULT]: print a value that was kept; status 1 when there is none and no default.
sr_get() {
    _sr_check_name "$1"
    if [ -f "$SR_RUN/state/$1" ]; then
        while IFS= read -r _get_line; do
            printf '%s\n' "$_get_line"
        done <"$SR_RUN/state/$1"
    elif [ "$#" -gt 1 ]; then
        printf '%s\n' "$2"
    else
        return 1
    fi
}

# --- time -------------------------------------------------------------------------------------

# Whole seconds since the kernel started: the clock on the wall may be set during the boot.
sr_uptime() {
    read -r _uptime _ <"$SR_PROC/uptime"
    printf '%s\n' "${_uptime%%.*}"
}

# sr_pause [MILLISECONDS]: 100, or fewer.
sr_pause() {
    usleep "${1:-100}000" 2>/dev/null || sleep 0.1
}

# sr_wait_for SECONDS WHAT TEST…: run the command TEST until it succeeds; status 1 after SECONDS
# (0: wait for ever). Every 10 seconds the console says what is waited for. Most waits are over
# at once: the first second is looked at more closely. Nothing here but the pause is a process.
sr_wait_for() {
    _wait_limit=$1 _wait_what=$2
    shift 2
    read -r _wait_start _ <"$SR_PROC/uptime"
    _wait_start=${_wait_start%%.*}
    _wait_next=10
    _wait_pause=20
    until "$@"; do
        read -r _wait_gone _ <"$SR_PROC/uptime"
        _wait_gone=$((${_wait_gone%%.*} - _wait_start))
        if [ "$_wait_limit" -gt 0 ] && [ "$_wait_gone" -ge "$_wait_limit" ]; then
            printf 'waited %s s for %s\n' "$_wait_gone" "$_wait_what" >"$SR_RUN/why"
            sr_warn "waited $_wait_gone s for $_wait_what"
            return 1
        fi
        if [ "$_wait_gone" -ge "$_wait_next" ]; then
            _wait_next=$((_wait_gone + 10))
            _wait_of=
            [ "$_wait_limit" -eq 0 ] || _wait_of=" of $_wait_limit"
            sr_log "waiting for $_wait_what ($_wait_gone$_wait_of s)"
        fi
        [ "$_wait_gone" -lt 2 ] || _wait_pause=100
        sr_pause "$_wait_pause"
    done
}

# sr_run [-t SECONDS] COMMAND…: run an external command, at most SECONDS (30) long, and name it
# in the summary block should the script fail. No secret may stand among its words.
sr_run() {
    _run_limit=30
    if [ "$1" = -t ]; then
        _run_limit=$2
        shift 2
    fi
    printf '%s\n' "$*" >"$SR_RUN/command"
    "$SR_TIMEOUT" -k 5 "$_run_limit" "$@"
}

# sr_shared_dir PATH: see to it that the directory PATH is there, which other nodes may make at the
# same moment. Where two do so on GlusterFS, it is then absent or stale for some milliseconds, to
# both of them.
sr_shared_dir() {
    if [ -e "$1" ] || [ -L "$1" ]; then
        [ -d "$1" ]
        return
    fi
    sr_wait_for 5 "the directory $1" _sr_shared_dir "$1"
}

_sr_shared_dir() {
    mkdir "$1" 2>/dev/null || [ -d "$1" ]
}

# sr_ip WORD…: ask the kernel by ip(8), named in the summary block like what sr_run runs. Without a
# limit, which would cost several times what the request does: the kernel answers at once, or
# cannot be interrupted in it at all.
sr_ip() {
    printf 'ip %s\n' "$*" >"$SR_RUN/command"
    sr_find_program ip
    "$program" "$@"
}

# --- text -------------------------------------------------------------------------------------

# Print stdin without what could steer a terminal: only printable ASCII and line ends pass.
sr_printable() {
    LC_ALL=C tr -cd '\12\40-\176'
}

# shellcheck source=hooks/lib/check.sh
. "$SR_LIB/check.sh"
# shellcheck source=hooks/lib/cmdline.sh
. "$SR_LIB/cmdline.sh"
# shellcheck source=hooks/lib/device.sh
. "$SR_LIB/device.sh"
# shellcheck source=hooks/lib/survive.sh
. "$SR_LIB/survive.sh"
