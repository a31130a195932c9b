# Mount /dev/vda, which nobody else has mounted, on /run/lab.root as the file system $1; GFS2 without
# its locks.
options=rw
if [ "$1" = gfs2 ]; then
    modprobe gfs2
    options=lockproto=lock_nolock
fi
mkdir -p /run/lab.root
mount -t "$1" -o "$options" /dev/vda /run/lab.root
