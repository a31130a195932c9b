#!/bin/sh
# vzeventd calls this in place of its own scripts, as NAME-reboot or NAME-stop by the link's name:
# what follows the container's end is the supervisor's to say. The note is all that is done here.
set -eu
run=${SR_RUN:-/run/srbuild}/openvz
case ${0##*/} in
    *reboot*) word=reboot ;;
    *) word=halt ;;
esac
# A reboot is told as one, and then as a stop as well.
[ "$word" = halt ] && [ -s "$run/event" ] && exit 0
printf '%s\n' "$word" >"$run/event.new"
mv "$run/event.new" "$run/event"
