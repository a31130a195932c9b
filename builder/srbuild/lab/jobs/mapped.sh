# Say what device-mapper has, one name a line.
for map in /sys/block/dm-*; do
    [ ! -e "$map" ] || cat "$map/dm/name"
done
