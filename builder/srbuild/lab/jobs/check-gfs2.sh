# Say what stands on /dev/vda, the target taken down: `fsck STATUS` and, read without locks,
# `token NODE WORD` and `seen NODE WORD…` for every node's files.
disk=${LAB_DISK:-/dev/vda}
sh -eu /lab/jobs/release.sh
modprobe gfs2
blockdev --flushbufs "$disk"
status=0
fsck.gfs2 -n "$disk" >/run/lab.fsck || status=$?
cat /run/lab.fsck
# A journal with something left in it means that a node did not leave cleanly.
if [ "$status" -eq 0 ] && grep -q 'is dirty' /run/lab.fsck; then
    status=4
fi
echo "fsck $status"
mkdir -p /run/lab.root
mount -t gfs2 -o ro,lockproto=lock_nolock "$disk" /run/lab.root
for kind in tokens seen; do
    for file in /run/lab.root/"$kind"/*; do
        [ ! -f "$file" ] || echo "${kind%s} ${file##*/} $(cat "$file")"
    done
done
umount /run/lab.root
