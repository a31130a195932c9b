# End the kernel's NFS server, its clients' state with it: connections are refused.
echo 0 >/proc/fs/nfsd/threads
