# On a node: wait, at most 100 s, until each of the $2 bricks of the volume $1 is there and needs no
# heal. What one pass of the self-heal daemon could not do yet waits for its next one, 600 s later
# (cluster.heal-timeout), unless asked for. The tools are in the bootstrap, glusterd's root.
bootstrap=/proc/$(pidof glusterd)/root
volume() {
    timeout 60 chroot "$bootstrap" /usr/sbin/gluster --mode=script volume "$@"
}
now() {
    cut -d . -f 1 /proc/uptime
}
end=$(($(now) + 100))
again=$(($(now) + 30))
count=0
while [ "$count" -lt "$2" ] && [ "$(now)" -lt "$end" ]; do
    if [ "$(now)" -ge "$again" ]; then
        volume heal "$1" || :
        again=$(($(now) + 30))
    fi
    volume heal "$1" info >/run/lab.heal 2>&1 || :
    count=$(grep -c '^Number of entries: 0$' /run/lab.heal) || :
    sleep 1
done
[ "$count" -ge "$2" ] || tail -n 12 "$bootstrap/var/log/glusterfs/glustershd.log"
cat /run/lab.heal
[ "$count" -ge "$2" ]
