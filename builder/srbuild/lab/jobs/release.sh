# Have everything that serves /dev/vda let go of it: each server module's stop.sh, if any.
for stop in /usr/lib/srbuild/modules/*/stop.sh; do
    [ ! -f "$stop" ] || sh "$stop"
done
