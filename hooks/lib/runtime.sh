# shellcheck shell=sh
# What the runtime.sh of the containers have in common:
#   start          returns when its init runs
#   wait           until it has ended; prints how: reboot, halt or crash WHY…
#   status         prints `running PID` or `stopped`
#   stop SECONDS   asks it to shut down, kills what is left after SECONDS
#   console, enter [COMMAND…]
#   clean          removes what is left of one that ended
# Each brings start, wait_for_end, stop, console, enter and clean, and is_running, which sets $init.

sr_need_running() {
    is_running || sr_fail "the container does not run"
}

status() {
    if is_running; then
        echo "running ${init-}"
    else
        echo stopped
    fi
}

# sr_remove_group DIRECTORY: remove a control group with those in it; status 1 while they have processes.
sr_remove_group() {
    find "$1" -depth -type d -exec rmdir {} + 2>/dev/null || :
    [ ! -d "$1" ]
}

# sr_runtime [VERB [WORD…]]: do what is asked.
sr_runtime() {
    _runtime_verb=${1-}
    [ "$#" -eq 0 ] || shift
    case $_runtime_verb in
        wait) wait_for_end ;;
        start | status | stop | console | enter | clean) "$_runtime_verb" "$@" ;;
        *) sr_fail "runtime.sh knows no verb '$_runtime_verb'" ;;
    esac
}
