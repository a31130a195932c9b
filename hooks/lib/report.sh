# shellcheck shell=sh
# What a person at the console reads and does when something has stopped: the block that says what
# and why, and the shell that follows. The spine and the supervisor share it.

# sr_is_on NAME DEFAULT: a flag on the command line; a bare word is on.
sr_is_on() {
    _on_value=$(sr_cmdline "$1") || _on_value=$2
    case $_on_value in
        0 | no | off | false) return 1 ;;
    esac
}

# sr_has_person: may somebody at the console get a shell (rd.shell)?
sr_has_person() {
    sr_is_on rd.shell 1
}

# sr_reboot_delay: print the seconds before the reboot that takes a shell's place.
sr_reboot_delay() {
    _delay=$(sr_cmdline rd.srb.reboot_delay) || _delay=
    sr_check_seconds "$_delay" || _delay=10
    printf '%s\n' "$_delay"
}

sr_rule() {
    echo '======================================================================'
}

# sr_fact NAME TEXT: one line of the block.
sr_fact() {
    printf '  %-8s %s\n' "$1" "$2"
}

# sr_note NAME: the line of what a failed script left in $SR_RUN/NAME, if it did.
sr_note() {
    [ ! -s "$SR_RUN/$1" ] || sr_fact "$1" "$(head -n 4 "$SR_RUN/$1" | sr_printable)"
}

# sr_last_lines FILE
sr_last_lines() {
    echo '  its last lines:'
    tail -n 10 "$1" | sr_printable | sed 's/^/    | /'
}

# sr_console_shell PROMPT [PIDFILE]: a shell on the console; returns when it ends.
sr_console_shell() {
    ENV=$SR_LIB/shell.sh PS1="srbuild:$1# " sh "$SR_LIB/console.sh" "${2:-/dev/null}" || :
}

# sr_reboot_later SECONDS: leave the cluster and detach the storage as a shutdown would, then reboot.
sr_reboot_later() {
    _reboot_at=$(($(sr_uptime) + $1))
    while [ "$(sr_uptime)" -lt "$_reboot_at" ]; do
        sr_pause
    done
    sh "$SR_HOME/shutdown" reboot
}
