# On a node: wait, at most 200 s, until every brick of the volume $1 is there and needs no heal.
# The tools are in the bootstrap, which glusterd has for its root.
bootstrap=/proc/$(pidof glusterd)/root
left=200
while :; do
    chroot "$bootstrap" /usr/sbin/gluster --mode=script volume heal "$1" info >/run/lab.heal 2>&1 || :
    count=$(grep -c '^Number of entries: 0$' /run/lab.heal) || :
    [ "$count" -lt "$2" ] || break
    left=$((left - 1))
    [ "$left" -gt 0 ] || break
    sleep 1
done
cat /run/lab.heal
[ "$count" -ge "$2" ]
