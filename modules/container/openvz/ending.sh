#!/bin/sh
# How the container ended: by vzeventd's word, or in upstream mode by what the kernel traced.
set -eu
# shellcheck source=modules/container/openvz/common.sh
. "${0%/*}/common.sh"

# ending: print `reboot`, `halt` or `crash WHY…`.
ending() {
    if [ "$(generation)" != upstream ]; then
        sr_wait_for 5 "vzeventd's word" test -s "$vz/event" 2>/dev/null || :
        if [ -s "$vz/event" ]; then
            head -n 1 "$vz/event"
        else
            echo "crash vzeventd did not tell how it ended"
        fi
        return 0
    fi
    if [ ! -r "$tracing/trace" ]; then
        echo "crash how it ended could not be told: the kernel traces no system calls"
        return 0
    fi
    case $(traced <"$tracing/trace") in
        1234567 | a1b2c3d4) echo reboot ;;
        cdef0123 | 4321fedc) echo halt ;;
        *) echo "crash its init ended without reboot, halt or power off" ;;
    esac
}

# traced: print the command, in hexadecimal, of the last call of reboot(2) that did not return: one
# that succeeds in a container never does. Lines are `COMM-PID [CPU] … sys_reboot(magic1: …, cmd: …)`
# and `… sys_reboot -> 0x…`; COMM may be anything, so what is looked at stands at the line's end.
traced() {
    LC_ALL=C awk '
        /^#/ { next }
        match($0, /-[0-9]+ +(\([^)]*\) +)?\[[0-9]+\] /) {
            pid = substr($0, RSTART + 1, RLENGTH - 1)
            sub(/ .*/, "", pid)
            if ($0 ~ / sys_reboot -> 0x[0-9a-f]+$/) {
                if (last == pid)
                    last = word = ""
            } else if (match($0, /: sys_reboot\(magic1: [0-9a-fx]+, magic2: [0-9a-fx]+, cmd: [0-9a-fx]+,/)) {
                word = substr($0, RSTART, RLENGTH - 1)
                sub(/.*cmd: (0x)?/, "", word)
                last = pid
                if (word == "0" || word == "89abcdef")
                    last = word = ""
            }
        }
        END { print word }'
}
