# Make an OCFS2 file system on /dev/vda for the cluster $1, with room for $2 nodes, and fill it with
# the lab's root. $3 is the cluster stack: o2cb with a `local` or `global` heartbeat, or `pcmk`. $4 is its
# size in blocks of 4 KiB, without it the disk's.
sh -eu /lab/jobs/release.sh
stack=o2cb beat=
case $3 in
    global) beat=--global-heartbeat ;;
    pcmk) stack=pcmk ;;
esac
mkfs.ocfs2 -q -T datafiles -L root -U 5EEDFACE5EEDFACE5EEDFACE5EEDFACE -N "$2" -b 4K -C 4K -J size=8M \
    --fs-feature-level=max-features --fs-features=nometaecc --no-backup-super \
    --cluster-stack="$stack" --cluster-name="$1" ${beat:+"$beat"} /dev/vda ${4:+"$4"} </dev/null

# To fill it without a cluster, it is made a file system of one machine for a while: that is bit 3
# of s_feature_incompat, and bit 7 says that there is a user stack (fs/ocfs2/ocfs2_fs.h).
at=$((2 * 4096 + 0xe0))
features=$(dd if=/dev/vda bs=1 skip=$at count=1 2>/dev/null | od -An -tu1 | tr -d ' ')
set_features() {
    printf '%b' "\\0$(printf %03o "$1")" | dd of=/dev/vda bs=1 seek=$at conv=notrunc 2>/dev/null
    blockdev --flushbufs /dev/vda
}
modprobe ocfs2
mkdir -p /run/lab.root
set_features $((features & ~128 | 8))
mount -i -t ocfs2 /dev/vda /run/lab.root
sh -eu /lab/jobs/fill-root.sh /run/lab.root
umount /run/lab.root
set_features "$features"
sync
