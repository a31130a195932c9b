# Start the kernel's NFS server again where nfs-down.sh ended it, without asking rpcbind: for
# version 4 (Documentation/admin-guide/nfs/nfsd-admin-interfaces.rst).
echo tcp 2049 >/proc/fs/nfsd/portlist
echo 4 >/proc/fs/nfsd/threads
