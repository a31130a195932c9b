# shellcheck shell=sh
# The processes that are not the bootstrap's: a distribution's that took the machine over, or a
# container's. They are known by their root file system, which is another one. pivot_root(2) gives
# those that had the old root the new one; what is left of them is their program below /oldroot.

# Print the number (major:minor) of the root file system in each of the mountinfo files $@, of a
# process with this bootstrap as its root the bootstrap's. The first line for / is a process' own
# root, whatever is mounted over it. Reads only /proc: no file system needs to answer.
_sr_roots() {
    grep -Hs '^[0-9]* [0-9]* [0-9:]* [^ ]* / ' "$@" | awk '
        {
            file = $1
            sub(/:[0-9]*$/, "", file)
            if (!(file in seen)) {
                seen[file] = 1
                print file, $3
            }
        }'
}

# Print the ids of the processes whose root is another file system than ours.
_sr_of_other_roots() {
    _roots_own=$(_sr_roots "$SR_PROC/self/mountinfo")
    _sr_roots "$SR_PROC"/[0-9]*/mountinfo | awk -v own="${_roots_own##* }" '
        $2 != own {
            sub(/\/mountinfo$/, "", $1)
            sub(/.*\//, "", $1)
            print $1
        }'
}

# Print the ids of the processes that run a program below the directory $1. Reads links of /proc
# alone: no file system needs to answer.
_sr_programs_below() {
    # 'NAME' -> 'PROGRAM'
    stat -c %N "$SR_PROC"/[0-9]*/exe 2>/dev/null |
        awk -v top="$1/" '
            (at = index($0, " -> ")) && index(substr($0, at + 5), top) == 1 {
                pid = substr($0, 1, at - 6) # without /exe and the quote
                sub(/.*\//, "", pid)
                print pid
            }'
}

# sr_strangers: print the process ids of those that did not ask to be spared by an '@' in front.
# Kernel threads have no command line.
sr_strangers() {
    {
        _sr_of_other_roots
        _sr_programs_below "${SR_ROOT-}/oldroot"
    } | sort -un | while read -r _strangers_pid; do
        case $_strangers_pid in
            1 | "$$") continue ;;
        esac
        _strangers_words=
        # Without a line's end in it, `read` says 1.
        read -r _strangers_words 2>/dev/null <"$SR_PROC/$_strangers_pid/cmdline" || :
        case $_strangers_words in
            '' | @*) ;;
            *) echo "$_strangers_pid" ;;
        esac
    done
}

_sr_no_strangers() {
    [ -z "$(sr_strangers)" ]
}

# sr_end_strangers SECONDS: ask them to end, and SECONDS later make them; status 1 when some do
# not even then, as those that wait for a storage that does not answer.
sr_end_strangers() {
    _end_ids=$(sr_strangers | tr '\n' ' ')
    [ -n "$_end_ids" ] || return 0
    sr_log "ending the processes that are left: $_end_ids"
    sr_strangers | xargs "$SR_TIMEOUT" 10 kill -TERM 2>/dev/null
    sr_wait_for "$1" "their end" _sr_no_strangers && return
    sr_strangers | xargs "$SR_TIMEOUT" 10 kill -KILL 2>/dev/null
    sr_wait_for 5 "their end by force" _sr_no_strangers
}
