# Say what stands on /dev/vda: `fsck STATUS` and, read without a mount, `token NODE WORD` and
# `seen NODE WORD…` for every node's files.
sh -eu /lab/jobs/release.sh
status=0
fsck.ocfs2 -fn /dev/vda >/run/lab.fsck 2>&1 || status=$?
cat /run/lab.fsck
# A journal with something left in it means that a node did not leave cleanly.
if [ "$status" -eq 0 ] && grep -qi 'journal recovery' /run/lab.fsck; then
    status=4
fi
echo "fsck $status"
for kind in tokens seen; do
    for file in $(debugfs.ocfs2 -R "ls /$kind" /dev/vda 2>/dev/null | awk '$NF !~ /^\.+$/ { print $NF }'); do
        echo "${kind%s} $file $(debugfs.ocfs2 -R "cat /$kind/$file" /dev/vda 2>/dev/null)"
    done
done
