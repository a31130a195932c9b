# Say what stands on the brick of /dev/vda, glusterd ended: `fsck STATUS`, `token NODE WORD` and
# `seen NODE WORD…` for every node's files.
sh -eu /lab/jobs/release.sh
modprobe ext4
status=0
e2fsck -f -n /dev/vda >/run/lab.fsck 2>&1 || status=$?
cat /run/lab.fsck
# A journal with something left in it means that the brick's node did not leave cleanly.
if [ "$status" -eq 0 ] && grep -q 'skipping journal recovery' /run/lab.fsck; then
    status=4
fi
echo "fsck $status"
mkdir -p /run/lab.brick
mount -t ext4 -o ro /dev/vda /run/lab.brick
for kind in tokens seen; do
    for file in /run/lab.brick/brick/"$kind"/*; do
        [ ! -f "$file" ] || echo "${kind%s} ${file##*/} $(cat "$file")"
    done
done
umount /run/lab.brick
