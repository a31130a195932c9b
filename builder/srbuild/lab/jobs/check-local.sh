# Say what stands on /dev/vda, a file system of one machine: `fsck STATUS`, `token NODE WORD` and
# `seen NODE WORD…`.
disk=${LAB_DISK:-/dev/vda}
sh -eu /lab/jobs/release.sh
blockdev --flushbufs "$disk"
# Not what a mirror below it has written at its end.
kind=$(blkid -p -u filesystem -o value -s TYPE "$disk")
status=0
case $kind in
    ext4)
        # A journal that must be replayed means that the node did not unmount.
        e2fsck -fn "$disk" >/run/lab.fsck 2>&1 || status=$?
        ! grep -qi 'skipping journal recovery' /run/lab.fsck || status=4
        ;;
    xfs) xfs_repair -n "$disk" >/run/lab.fsck 2>&1 || status=$? ;;
    btrfs) btrfs check --readonly "$disk" >/run/lab.fsck 2>&1 || status=$? ;;
esac
cat /run/lab.fsck
echo "fsck $status"
modprobe "$kind"
mkdir -p /run/lab.root
mount -t "$kind" -o ro "$disk" /run/lab.root
for kind in tokens seen; do
    for file in /run/lab.root/"$kind"/*; do
        [ ! -f "$file" ] || echo "${kind%s} ${file##*/} $(cat "$file")"
    done
done
umount /run/lab.root
