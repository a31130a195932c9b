# Say of each of OSR's trees $1 and $2 on the GFS2 of /dev/vda, which nobody has mounted, what the node wrote:
# `NUMBER TEXT`, `NUMBER log TEXT`, and of what cdsltab bound `NUMBER own TEXT`.
disk=${LAB_DISK:-/dev/vda}
mkdir -p /run/lab.root
mount -t gfs2 -o ro,lockproto=lock_nolock "$disk" /run/lab.root
for number in "$1" "$2"; do
    echo "$number $(cat "/run/lab.root/.cluster/cdsl/$number/etc/hostname")"
    echo "$number log $(cat "/run/lab.root/.cluster/cdsl/$number/var/log/messages")"
    echo "$number own $(cat "/run/lab.root/.cluster/cdsl/$number/srv/own/data")"
done
umount /run/lab.root
