# Make /dev/vda a disk for sbd's messages: watchdog $1 s, a message counts after $2 s, slots for
# the nodes $3 (NAME,NAME…).
sh -eu /lab/jobs/release.sh
sbd -d /dev/vda -1 "$1" -4 "$2" create
for name in $(echo "$3" | tr ',' ' '); do
    sbd -d /dev/vda allocate "$name"
done
sbd -d /dev/vda list
sync
