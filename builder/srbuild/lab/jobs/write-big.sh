# Write $2 MiB to the shared root, read them back from the disk, and say whether they are the same,
# how many I/O errors the disk $1 had, and how many seconds each took.
errors() {
    printf '%d\n' "$(cat "/sys/block/$1/device/ioerr_cnt")"
}
before=$(errors "$1")
dd if=/dev/urandom of=/run/big bs=1048576 count="$2" 2>/dev/null
read -r begin _ </proc/uptime
dd if=/run/big of=/seen/.big bs=1048576 conv=fsync 2>/dev/null
read -r written _ </proc/uptime
echo 3 >/proc/sys/vm/drop_caches
cmp /run/big /seen/.big && echo "same yes" || echo "same no"
read -r end _ </proc/uptime
rm /run/big /seen/.big
sync
echo "errors $(($(errors "$1") - before))"
echo "write $((${written%.*} - ${begin%.*}))"
echo "read $((${end%.*} - ${written%.*}))"
