# Make two partitions on /dev/vda: the volume group `rootvg` on the first, with the lab's root on the
# logical volume `root`, a file system of the type $1; the group `othervg` on the second. With $2
# `shared` the first group is one whose locks are in the lock manager of the cluster `lab`.
sh -eu /lab/jobs/release.sh
printf 'o\nn\np\n1\n\n+%sM\nn\np\n2\n\n\nt\n1\n8e\nt\n2\n8e\nw\n' "$3" | fdisk /dev/vda >/dev/null
blockdev --rereadpt /dev/vda
export DM_DISABLE_UDEV=1 LVM_SUPPRESS_FD_WARNINGS=1
mkdir -p /etc/lvm /run/lvm /run/lock/lvm
cp /lab/jobs/lvm.conf /etc/lvm/lvm.conf
modprobe dm-mod
for name in root other; do
    part=/dev/vda1
    [ "$name" = root ] || part=/dev/vda2
    lvm vgcreate -q "${name}vg" "$part"
    lvm lvcreate -q -an -Zn -l 100%FREE -n "$name" "${name}vg"
done
lvm lvchange -ay rootvg/root
case $1 in
    gfs2) LAB_DISK=/dev/rootvg/root sh -eu /lab/jobs/make-gfs2.sh lab:root 2 8 ;;
    *) LAB_DISK=/dev/rootvg/root sh -eu /lab/jobs/make-local.sh "$1" root ;;
esac
lvm vgchange -an
[ "$2" = shared ] || exit 0
lvm vgcfgbackup -q -f /run/lab.vg rootvg
# As vgcreate --shared writes it: the group's lock arguments name the cluster, a volume's the type.
sed -i 's/^\(\t*\)extent_size = .*/&\n\1lock_type = "dlm"\n\1lock_args = "1.0.0:lab"/; s/^\(\t*\)segment_count = .*/\1lock_args = "dlm"\n&/' /run/lab.vg
lvm vgcfgrestore -q -f /run/lab.vg rootvg
