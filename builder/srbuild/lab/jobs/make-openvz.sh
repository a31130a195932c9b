# Make an ext4 with the label $1 on /dev/vda, filled with the lab's root as a container of vzctl's has
# it: with device nodes, for a container that may mount nothing makes no others.
disk=${LAB_DISK:-/dev/vda}
sh -eu /lab/jobs/make-local.sh ext4 "$1"
mount -t ext4 "$disk" /run/lab.root
cd /run/lab.root/dev || exit
mknod -m 666 null c 1 3
mknod -m 666 zero c 1 5
mknod -m 666 full c 1 7
mknod -m 666 random c 1 8
mknod -m 666 urandom c 1 9
mknod -m 666 tty c 5 0
mknod -m 600 console c 5 1
mknod -m 666 ptmx c 5 2
cd /
umount /run/lab.root
sync
