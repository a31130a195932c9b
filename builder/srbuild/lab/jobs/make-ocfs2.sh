# Make an OCFS2 file system on /dev/vda for the cluster $1, with room for $2 nodes and a $3 (local
# or global) heartbeat, and fill it with the lab's root. To mount it this machine is, for a while,
# the only node of a cluster of that name.
sh -eu /lab/jobs/release.sh
mkdir -p /etc/ocfs2 /run/lab.root
beat=
[ "$3" = local ] || beat=--global-heartbeat
uuid=5EEDFACE5EEDFACE5EEDFACE5EEDFACE
mkfs.ocfs2 -q -T datafiles -L root -U "$uuid" -N "$2" -b 4K -C 4K -J size=8M \
    --fs-feature-level=max-features --no-backup-super \
    --cluster-stack=o2cb --cluster-name="$1" ${beat:+"$beat"} /dev/vda </dev/null
{
    printf 'cluster:\n\theartbeat_mode = %s\n\tnode_count = 1\n\tname = %s\n\n' "$3" "$1"
    printf 'node:\n\tnumber = 9\n\tcluster = %s\n\tip_port = 7777\n\tip_address = 10.9.0.1\n\tname = %s\n' \
        "$1" "$(hostname)"
    [ "$3" = local ] || printf '\nheartbeat:\n\tcluster = %s\n\tregion = %s\n' "$1" "$uuid"
} >/etc/ocfs2/cluster.conf
modprobe ocfs2_stack_o2cb
modprobe ocfs2
[ -d /sys/kernel/config/cluster ] || mount -t configfs configfs /sys/kernel/config
o2cb register-cluster "$1"
echo 2 >"/sys/kernel/config/cluster/$1/heartbeat/dead_threshold"
o2cb start-heartbeat "$1"
mount.ocfs2 -n /dev/vda /run/lab.root
sh -eu /lab/jobs/fill-root.sh /run/lab.root
umount /run/lab.root
o2cb stop-heartbeat "$1"
o2cb unregister-cluster "$1"
sync
