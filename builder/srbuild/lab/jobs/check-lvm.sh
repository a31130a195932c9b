# Say what stands on the logical volume rootvg/root of /dev/vda, as the job check-$1 does. It is mapped
# without LVM's own activation, which wants the cluster's locks for a group that nodes share; the
# volume is the group's only one and so begins where the disk's extents do.
sh -eu /lab/jobs/release.sh
blockdev --rereadpt /dev/vda
export DM_DISABLE_UDEV=1 LVM_SUPPRESS_FD_WARNINGS=1
mkdir -p /etc/lvm /run/lvm /run/lock/lvm
cp /lab/jobs/lvm.conf /etc/lvm/lvm.conf
modprobe dm-mod
show() {
    lvm "$@" --config global/use_lvmlockd=1 --nolocking --readonly --noheadings --nosuffix --units s | tr -d ' \n'
}
start=$(show pvs -o pe_start /dev/vda1)
size=$(show lvs -o lv_size rootvg/root)
dmsetup create lab-root --table "0 $size linear /dev/vda1 $start"
LAB_DISK=/dev/mapper/lab-root sh -eu "/lab/jobs/check-$1.sh"
dmsetup remove --retry lab-root
