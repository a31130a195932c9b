# shellcheck shell=sh
# Daemons that the root depends on. They are started so that argv[0] begins with '@': systemd and
# our own shutdown spare such processes (https://systemd.io/ROOT_STORAGE_DAEMONS).

# `@` is a directory of links and `@/NAME` a path relative to its parent, so that argv[0] is
# `@/NAME`: busybox still recognises its applet by what follows the slash.

# sr_survivor NAME: make that link. Fails for what is no survivor by declaration.
sr_survivor() {
    if ! grep -Fqx -- "$1" "$SR_HOME/survive"; then
        sr_fail "no module declares $1 under [survive]" "add it to the module's module.toml"
    fi
    _survive_path=$(command -v "$1") || sr_fail "$1 is not in the image"
    case $_survive_path in
        /*) ;;
        *) _survive_path=/bin/busybox ;;
    esac
    mkdir -p "$SR_RUN/survivors/@"
    # What sr_survive_paths has put there is what $_survive_path itself starts.
    [ -e "$SR_HOME/survivors/$1" ] || ln -sf "$_survive_path" "$SR_RUN/survivors/@/$1"
}

# sr_survive_paths NAME…: have survivors that another daemon starts, by their full paths, begin with
# '@' as well: a script takes each one's place and starts it as sr_survive would.
sr_survive_paths() {
    for _paths_name; do
        sr_survivor "$_paths_name"
        [ ! -e "$SR_HOME/survivors/$_paths_name" ] || continue
        mkdir -p "$SR_HOME/survivors"
        # A second name of the file itself: NAME may be a link to another that is replaced, too.
        ln "$(readlink -f "$_survive_path")" "$SR_HOME/survivors/$_paths_name"
        ln -sf "$SR_HOME/survivors/$_paths_name" "$SR_RUN/survivors/@/$_paths_name"
    done
    for _paths_name; do
        _paths_program=$(command -v "$_paths_name")
        printf '#!/bin/sh\ncd %s/survivors && exec @/%s "$@"\n' "$SR_RUN" "$_paths_name" >"$_paths_program.new"
        chmod 0755 "$_paths_program.new"
        mv "$_paths_program.new" "$_paths_program"
    done
}

# sr_try_survive NAME [ARGUMENT…]: start the daemon NAME, for which sr_survivor was called, in a
# session of its own; it puts itself into the background. Its output goes to $SR_RUN/NAME.log, or
# to $SR_SURVIVE_LOG.log. Its status; 124 after 60 seconds, or $SR_SURVIVE_LIMIT.
sr_try_survive() (
    _survive_name=$1
    _survive_log=$SR_RUN/${SR_SURVIVE_LOG:-$1}.log
    shift
    cd "$SR_RUN/survivors" || exit
    exec "$SR_TIMEOUT" -k 5 "${SR_SURVIVE_LIMIT:-60}" setsid "@/$_survive_name" "$@" \
        </dev/null >"$_survive_log" 2>&1
)

# sr_survive NAME [ARGUMENT…]: both; fails when the daemon does not start.
sr_survive() {
    sr_survivor "$1"
    printf '%s\n' "$*" >"$SR_RUN/command"
    _survive_status=0
    sr_try_survive "$@" || _survive_status=$?
    if [ "$_survive_status" -ne 0 ]; then
        tail -n 8 "$SR_RUN/${SR_SURVIVE_LOG:-$1}.log" >&2
        sr_fail "$1 did not start (status $_survive_status)"
    fi
}

# sr_alive PIDFILE: is the process whose id stands in PIDFILE there?
sr_alive() {
    [ -s "$1" ] || return 1
    read -r _alive_pid _ <"$1" || [ -n "$_alive_pid" ] || return 1
    sr_check_int "$_alive_pid" && [ "$_alive_pid" -gt 1 ] && [ -d "$SR_PROC/$_alive_pid" ]
}

_sr_gone() {
    ! sr_alive "$1"
}

# sr_stop PIDFILE SECONDS: end a daemon, by force after SECONDS.
sr_stop() {
    sr_alive "$1" || return 0
    kill -TERM "$_alive_pid" 2>/dev/null || :
    sr_wait_for "$2" "the end of ${1##*/}" _sr_gone "$1" && return 0
    kill -KILL "$_alive_pid" 2>/dev/null || :
    sr_wait_for 5 "the kill of ${1##*/}" _sr_gone "$1"
}
