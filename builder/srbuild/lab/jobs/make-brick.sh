# Make an ext4 file system on /dev/vda, for a brick.
sh -eu /lab/jobs/release.sh
modprobe ext4
mkfs.ext4 -q -F -m 0 /dev/vda
