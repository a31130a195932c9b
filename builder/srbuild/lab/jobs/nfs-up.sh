# Start the kernel's NFS server again where nfs-down.sh ended it.
echo tcp 2049 >/proc/fs/nfsd/portlist
echo 4 >/proc/fs/nfsd/threads
