# Make a GFS2 file system on /dev/vda with lock table $1 and $2 journals of $3 MiB, and fill
# it with the lab's root: this machine's busybox and the init from the host's archive. $4 is its
# size in blocks of 4 KiB, without it the disk's.
disk=${LAB_DISK:-/dev/vda}
sh -eu /lab/jobs/release.sh
modprobe gfs2
mkfs.gfs2 -O -q -p lock_dlm -t "$1" -j "$2" -J "$3" "$disk" ${4:+"$4"}
mkdir -p /run/lab.root
mount -t gfs2 -o lockproto=lock_nolock "$disk" /run/lab.root
sh -eu /lab/jobs/fill-root.sh /run/lab.root
umount /run/lab.root
sync
