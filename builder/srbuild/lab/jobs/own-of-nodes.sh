# Say what /dev/vda, which nobody has mounted, holds of the nodes' own files: `own NODE PATH TEXT`, and
# `shared PATH TEXT` for what all would see, the lines of a text with commas between, - for none. $1 is
# the file system, $2 the directory on it that is the root.
disk=/dev/vda
top=/run/lab.root${2:+/$2}

# The text of $1; nothing where it is not there. OCFS2 is read without a mount, which takes a cluster.
text() {
    if [ "$kind" = ocfs2 ]; then
        debugfs.ocfs2 -R "cat /$1" "$disk" 2>/dev/null || :
    else
        cat "$top/$1" 2>/dev/null || :
    fi
}

names() {
    if [ "$kind" = ocfs2 ]; then
        debugfs.ocfs2 -R "ls /$1" "$disk" 2>/dev/null | awk '$NF !~ /^\.+$/ { print $NF }'
    else
        ls "$top/$1" 2>/dev/null || :
    fi
}

line() {
    found=$(tr '\n' ',')
    echo "$1${found:--}"
}

kind=$1
case $kind in
    ocfs2) ;;
    gfs2)
        mkdir -p /run/lab.root
        mount -t gfs2 -o ro,lockproto=lock_nolock "$disk" /run/lab.root
        ;;
    *)
        mkdir -p /run/lab.root
        mount -t "$kind" -o ro "$disk" /run/lab.root
        ;;
esac
for path in etc/hostname etc/machine-id etc/adjtime etc/resolv.conf var/log/of-node; do
    text "$path" | line "shared $path "
    for node in n1 n2; do
        text ".srbuild/nodes/$node/$path" | line "own $node $path "
    done
done
# What was written to the last moment: whether it is there.
for node in n1 n2; do
    text "var/log/late-$node" | head -n 1 | line "shared var/log/late-$node "
    text ".srbuild/nodes/$node/var/log/late-$node" | head -n 1 | line "own $node var/log/late "
    names ".srbuild/nodes/$node/var/log/journal" | line "own $node var/log/journal "
done
names var/log/journal | line "shared var/log/journal "
[ "$kind" = ocfs2 ] || umount /run/lab.root
