# In a container: try what root there must not be able to do; a line `NAME refused` or `NAME allowed`
# for each. $1 is the shared root's disk as the bootstrap calls it (sda), or - for none; $2 the MAC
# address of the node's card.
try() {
    name=$1
    shift
    if "$@" >/dev/null 2>&1; then
        echo "$name allowed"
    else
        echo "$name refused"
    fi
}

# What follows is meant to fail, and to leave nothing behind should it not.
trial=/run/lab.trial
mkdir -p "$trial"
try mknod sh -c "mknod $trial/disk b 8 0 && dd if=$trial/disk of=/dev/null bs=512 count=1"
[ "$1" = - ] || try open-disk dd if="/dev/$1" of=/dev/null bs=512 count=1
try modprobe sh -c 'modprobe dummy && grep -q "^dummy " /proc/modules'
try set-time date -s @"$(date +%s)"
try remount-sys mount -o remount,rw /sys
try write-sys sh -c 'echo 0 >/sys/kernel/mm/ksm/run'
try devtmpfs mount -t devtmpfs none "$trial"
try debugfs mount -t debugfs none "$trial"
try sysrq sh -c 'echo h >/proc/sysrq-trigger'
try core-pattern sh -c 'echo core >/proc/sys/kernel/core_pattern'
try remount-root mount -o remount,ro /
try see-bootstrap sh -c 'tr "\0" " " </proc/[0-9]*/cmdline | grep -q srbuild/supervisor'
try bootstraps-secrets sh -c 'ls /etc/srbuild/values /proc/1/root/etc/srbuild/values'
try card-of-the-root sh -c "ip -o link | grep -q 'ether $2'"
# Below the root of a container may lie the bootstrap's: taken off, with the namespace entered anew, a
# process would stand there. By number, as libc's wrappers need more than Debian's least perl.
if [ "$(uname -m)" = x86_64 ] && command -v perl >/dev/null; then
    try below-the-root unshare -m perl - <<'END'
open(my $own, "<", "/proc/self/ns/mnt") or exit 1;
syscall(166, "/", 2);                   # umount2, MNT_DETACH
syscall(308, fileno($own), 0x20000);    # setns, CLONE_NEWNS
exit(-e "/usr/lib/srbuild/supervisor" ? 0 : 1);
END
fi
# On a file system without idmapped mounts root in the container has the numbers of the node's: the
# kernel's settings in a proc of its own are then open to it (docs/containers.md).
try fresh-proc sh -c "mount -t proc none $trial && (
    pattern=\$(cat $trial/sys/kernel/core_pattern)
    echo \"\$pattern\" >$trial/sys/kernel/core_pattern
    status=\$?
    umount $trial
    exit \$status)"
rmdir "$trial"
