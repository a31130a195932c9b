# Make a GFS2 file system as make-gfs2.sh does, of its words, and on it the trees of two of OSR's
# nodes, 1 and 2, with links into them as com-mkcdsl left them, and a directory that cdsltab binds.
disk=${LAB_DISK:-/dev/vda}
sh -eu /lab/jobs/make-gfs2.sh "$@"
mount -t gfs2 -o lockproto=lock_nolock "$disk" /run/lab.root
cd /run/lab.root || exit
for number in 1 2; do
    mkdir -p ".cluster/cdsl/$number/etc" ".cluster/cdsl/$number/var/log" ".cluster/cdsl/$number/srv/own"
    echo "of n$number" >".cluster/cdsl/$number/etc/hostname"
done
mkdir -p .cdsl.local var srv/own
echo '/.cluster/cdsl/%(nodeid)s/srv/own /srv/own bind defaults,__initrd' >etc/cdsltab
ln -s ../.cdsl.local/etc/hostname etc/hostname
ln -s ../.cdsl.local/var/log var/log
cd /
umount /run/lab.root
sync
