# Make an ext4 file system on /dev/vda and fill it with the lab's root, for a file server to export.
sh -eu /lab/jobs/release.sh
modprobe ext4
mkfs.ext4 -q -F -m 0 /dev/vda
mkdir -p /run/lab.root
mount -t ext4 /dev/vda /run/lab.root
sh -eu /lab/jobs/fill-root.sh /run/lab.root
umount /run/lab.root
sync
