# As check-local, and what vzctl has written on the shared root itself: `written PATH` for each of what
# it is known to write, with the bytes in it (docs/openvz.md).
disk=${LAB_DISK:-/dev/vda}
sh -eu /lab/jobs/check-local.sh
mount -t ext4 -o ro "$disk" /run/lab.root
cd /run/lab.root || exit
for path in fastboot .running .vzfifo etc/hosts etc/resolv.conf etc/sysconfig vzctl-old-root.* .srbuild/nodes/*/fastboot; do
    [ ! -e "$path" ] || echo "written $path $(find "$path" -type f -exec cat {} + | wc -c)"
done
cd /
umount /run/lab.root
