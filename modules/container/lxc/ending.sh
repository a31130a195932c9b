#!/bin/sh
# How the container ended. lxc-start's own status does not tell: it is 0 after a crash as well.
set -eu
# shellcheck source=modules/container/lxc/common.sh
. "${0%/*}/common.sh"

# ending: print `reboot`, `halt` or `crash WHY…` from what the post-stop hook, the log and lxc-start's
# status say. The kernel ends an init that powers off by SIGINT and one that reboots by SIGHUP
# (reboot_pid_ns); a halt looks like a power off.
ending() {
    read -r _end_target 2>/dev/null <"$lxc/target" || _end_target=
    read -r _end_status 2>/dev/null <"$lxc/status" || _end_status=
    if [ "$_end_target" = reboot ]; then
        echo reboot
        return 0
    fi
    case $_end_status in
        0) ;;
        '')
            echo "crash lxc-start is gone and left no status"
            return 0
            ;;
        *)
            echo "crash lxc-start ended with status $_end_status$(complaint)"
            return 0
            ;;
    esac
    _end_child=$(grep -a 'Child <[0-9]*> ended on ' "$log" 2>/dev/null | tail -n 1 | sed 's/.* ended on //' | sr_printable) || :
    case $_end_child in
        'signal Interrupt(2)'*) echo halt ;;
        'signal Hangup(1)'*) echo reboot ;;
        'signal '*) echo "crash its init was ended by ${_end_child}" ;;
        'error '*) echo "crash its init ended with status ${_end_child#error }" ;;
        *) echo "crash its init ended by itself (status 0), without halting" ;;
    esac
}

# The last line in LXC's log that says what went wrong.
complaint() {
    _complaint=$(grep -a ' ERROR ' "$log" 2>/dev/null | grep -av 'lxc\.seccomp' | grep -a 'Failed\|Permission\|No such\|Invalid' |
        head -n 1 | sed 's/.* - //' | sr_printable) || :
    [ -z "$_complaint" ] || printf ': %s\n' "$_complaint"
}
