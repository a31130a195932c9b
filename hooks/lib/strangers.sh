# shellcheck shell=sh
# The processes that are not the bootstrap's: a distribution's that took the machine over, or a
# container's. They are known by their root file system, which is another one.

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

# sr_strangers: print the process ids of those whose root is another file system than ours and that
# did not ask to be spared by an '@' in front. Kernel threads have no command line.
sr_strangers() {
    _strangers_own=$(_sr_roots "$SR_PROC/self/mountinfo")
    _strangers_own=${_strangers_own##* }
    _sr_roots "$SR_PROC"/[0-9]*/mountinfo | while read -r _strangers_file _strangers_root; do
        [ "$_strangers_root" != "$_strangers_own" ] || continue
        _strangers_pid=${_strangers_file%/mountinfo}
        _strangers_pid=${_strangers_pid##*/}
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
