# Fill the volume $1 of this machine's glusterd with the lab's root.
mkdir -p /run/lab.root
modprobe fuse
glusterfs --volfile-server=localhost "--volfile-id=$1" /run/lab.root
left=300
until [ -d /run/lab.root/. ]; do
    left=$((left - 1))
    [ "$left" -gt 0 ]
    sleep 0.1
done
sh -eu /lab/jobs/fill-root.sh /run/lab.root
umount /run/lab.root
