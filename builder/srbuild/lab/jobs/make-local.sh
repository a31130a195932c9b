# Make a file system of the type $1 with the label $2 on /dev/vda, and fill it with the lab's root.
# $3 is the size of an ext4 in blocks of 4 KiB, without it the disk's.
disk=${LAB_DISK:-/dev/vda}
sh -eu /lab/jobs/release.sh
case $1 in
    ext4) mkfs.ext4 -q -b 4096 -L "$2" "$disk" ${3:+"$3"} ;;
    *) "mkfs.$1" -q -L "$2" "$disk" ;;
esac
modprobe "$1"
mkdir -p /run/lab.root
mount -t "$1" "$disk" /run/lab.root
sh -eu /lab/jobs/fill-root.sh /run/lab.root
umount /run/lab.root
sync
