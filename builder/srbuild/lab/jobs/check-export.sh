# Say what stands on /dev/vda, the file server ended: `fsck STATUS`, `token NODE WORD` and
# `seen NODE WORD…` for every node's files.
sh -eu /lab/jobs/release.sh
modprobe ext4
status=0
e2fsck -f -n /dev/vda || status=$?
echo "fsck $status"
mkdir -p /run/lab.root
mount -t ext4 -o ro /dev/vda /run/lab.root
for kind in tokens seen; do
    for file in /run/lab.root/"$kind"/*; do
        [ ! -f "$file" ] || echo "${kind%s} ${file##*/} $(cat "$file")"
    done
done
umount /run/lab.root
