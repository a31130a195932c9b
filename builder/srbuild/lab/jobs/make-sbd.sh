# Make /dev/vda a disk for sbd's messages: watchdog $1 s, a message counts after $2 s.
sh -eu /lab/jobs/release.sh
sbd -d /dev/vda -1 "$1" -4 "$2" create
sbd -d /dev/vda dump
sync
