# Write 4 MiB to the shared root and have them on the disk before this ends; $1 names the file.
dd if=/dev/zero "of=/seen/.written.$1" bs=65536 count=64 conv=fsync 2>/dev/null
rm "/seen/.written.$1"
sync
