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
# Not every date(1) fails when it must not.
set_time() {
    [ -z "$(date -s "@$(date +%s)" 2>&1 >/dev/null)" ]
}
try set-time set_time
try write-sys sh -c 'echo 0 >/sys/kernel/mm/ksm/run'
try sysrq sh -c 'echo h >/proc/sysrq-trigger'
core_pattern() {
    pattern=$(cat /proc/sys/kernel/core_pattern) && echo "$pattern" >/proc/sys/kernel/core_pattern
}
try core-pattern core_pattern
# Its own mount it may make writable; that must be of no use.
write_remounted() {
    mount -o remount,bind,rw /sys || return
    status=0
    echo 0 >/sys/kernel/mm/ksm/run || status=1
    mount -o remount,bind,ro /sys
    return "$status"
}
try remount-sys write_remounted
try devtmpfs sh -c "mount -t devtmpfs none $trial && umount $trial"
try debugfs sh -c "mount -t debugfs none $trial && umount $trial"
try remount-root sh -c 'mount -o remount,ro / && mount -o remount,rw /'
# The root's file system once more, without the node's own files over it: as the container has it.
mount_again() {
    while read -r source place kind options _; do
        [ "$place" != / ] || set -- "$source" "$kind" "$options"
    done </proc/mounts
    mount -t "$2" "$1" "$trial" || mount -t "$2" -o "$3" "$1" "$trial" || return
    umount "$trial"
}
try mount-shared-root mount_again
# In mounts of its own, so that the container's stay: what is locked there is so here.
try take-off-own unshare -m umount -l /etc/hostname
try see-bootstrap sh -c 'tr "\0" " " </proc/[0-9]*/cmdline | grep -q srbuild/supervisor'
try bootstraps-secrets sh -c 'ls /etc/srbuild/values /proc/1/root/etc/srbuild/values'
try card-of-the-root sh -c "ip -o link | grep -q 'ether $2'"
# Below the root of a container may lie the bootstrap's: taken off, with the namespace entered anew, a
# process stands there. By number, as libc's wrappers need more than Debian's least perl.
if [ "$(uname -m)" = x86_64 ] && command -v perl >/dev/null; then
    try below-the-root unshare -m perl - <<'END'
open(my $own, "<", "/proc/self/ns/mnt") or exit 1;
syscall(166, "/", 2);                   # umount2, MNT_DETACH
syscall(308, fileno($own), 0x20000);    # setns, CLONE_NEWNS
exit(-e "/usr/lib/srbuild/supervisor" ? 0 : 1);
END
else
    # The same without perl: whoever enters a namespace comes to what lies lowest there.
    below() {
        mkfifo "$trial/here" "$trial/there"
        unshare -m sh -c 'umount -l / && echo away; read -r _' <>"$trial/there" >"$trial/here" &
        other=$!
        read -r word <"$trial/here" &&
            nsenter -t "$other" -m /bin/busybox test "$word" -a -e /usr/lib/srbuild/supervisor
        status=$?
        kill -KILL "$other"
        rm -f "$trial/here" "$trial/there"
        return "$status"
    }
    try below-the-root below
fi
# On a file system without idmapped mounts root in the container has the numbers of the node's: the
# kernel's settings in a proc of its own are then open to it (docs/containers.md).
try fresh-proc sh -c "mount -t proc none $trial && (
    pattern=\$(cat $trial/sys/kernel/core_pattern)
    echo \"\$pattern\" >$trial/sys/kernel/core_pattern
    status=\$?
    umount $trial
    exit \$status)"
rm -f "$trial/disk"
rmdir "$trial"
