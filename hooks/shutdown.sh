#!/bin/busybox sh
# /shutdown VERB: the end. Called as PID 1 once the machine's root is this bootstrap again, with
# what was the root on /oldroot, as systemd does (https://systemd.io/INITRD_INTERFACE). Ends what
# still runs there, unmounts it, leaves the cluster, detaches the storage; then VERB: poweroff,
# reboot, halt or kexec. Every step is bounded in time, and none stops the next.
#
# Another init does the same as its last act, as PID 1 and with its other processes ended:
#   exec /run/initramfs/bin/busybox sh /run/initramfs/shutdown VERB
# which brings itself into the bootstrap first. A shell of the bootstrap may call it too.
set +eu
home=${SR_HOME:-/usr/lib/srbuild}
PATH=/usr/sbin:/usr/bin:/sbin:/bin:$home/applets
export PATH
verb=${1:-poweroff}
old=/oldroot
SR_POINT=cleanup
export SR_POINT

# From the old root: make this bootstrap the root again and go on there.
enter_bootstrap() {
    tools=/run/initramfs/bin/busybox
    "$tools" mount --make-rprivate /
    "$tools" grep -q ' /run/initramfs ' /proc/self/mountinfo ||
        "$tools" mount -o bind /run/initramfs /run/initramfs
    cd /run/initramfs || return
    for dir in dev proc sys run; do
        "$tools" mount -o rbind "/$dir" "$dir"
    done
    "$tools" pivot_root . oldroot || return
    exec chroot . /bin/busybox sh "$home/shutdown" "$verb" </dev/console >/dev/console 2>&1
}

in_bootstrap() {
    [ -f "$home/spine" ] && [ -f "$home/runs" ]
}

# Print the process ids of those whose root is another file system than ours and that did not ask
# to be spared by an '@' in front. Reads only /proc: the old root may not answer any more.
strangers() {
    own=$(awk '$5 == "/" { found = $3 } END { print found }' /proc/self/mountinfo)
    for process in /proc/[0-9]*; do
        case ${process#/proc/} in
            1 | "$$") continue ;;
        esac
        theirs=$(awk '$5 == "/" { found = $3 } END { print found }' "$process/mountinfo" 2>/dev/null)
        case $theirs in
            '' | "$own") continue ;;
        esac
        case $(tr '\0' ' ' <"$process/cmdline" 2>/dev/null) in
            '' | @*) ;;
            *) echo "${process#/proc/}" ;;
        esac
    done
}

none_left() {
    [ -z "$(strangers)" ]
}

end_strangers() {
    none_left && return
    sr_log "ending the processes that are left: $(strangers | tr '\n' ' ')"
    strangers | xargs kill -TERM 2>/dev/null
    sr_wait_for 5 "their end" none_left && return
    strangers | xargs kill -KILL 2>/dev/null
    sr_wait_for 5 "their end by force" none_left
}

# Print the mount points at and below /oldroot, the deepest first (children follow their parents
# in mountinfo, so the list is turned around).
old_mounts() {
    awk -v old="$old" '
        $5 == old || index($5, old "/") == 1 { mounts[++count] = $5 }
        END { for (i = count; i > 0; i--) print mounts[i] }' /proc/self/mountinfo
}

nothing_mounted() {
    [ -z "$(old_mounts)" ]
}

# One pass over all mounts; each umount is given 20 seconds.
unmount_pass() {
    old_mounts | while IFS= read -r point; do
        # mountinfo writes blanks and backslashes as \ooo, which printf understands.
        "$SR_TIMEOUT" -s KILL 20 umount "$(printf '%b' "$point")" 2>/dev/null
    done
    nothing_mounted
}

unmount_old() {
    nothing_mounted && return
    sr_log "unmounting the old root"
    sr_wait_for 30 "the old root to be unmounted" unmount_pass && return
    sr_warn "still mounted: $(old_mounts | tr '\n' ' '); letting go of it as it is"
    old_mounts | while IFS= read -r point; do
        "$SR_TIMEOUT" -s KILL 10 umount -l "$(printf '%b' "$point")"
    done
}

# The modules' cleanup scripts, in the order of the table (the reverse of the boot's).
clean_up() {
    while read -r point SR_MODULE script limit <&4; do
        [ "$point" = cleanup ] || continue
        export SR_MODULE
        (
            sr_values_export "$SR_MODULE"
            exec "$SR_TIMEOUT" -k 5 "$limit" sh -eu "$script"
        ) 4<&- || sr_warn "its cleanup ended with status $?"
    done 4<"$home/runs"
    SR_MODULE=
}

finish() {
    sr_log "$verb"
    "$SR_TIMEOUT" -s KILL 20 sync
    case $verb in
        reboot) reboot -f ;;
        halt) halt -f ;;
        kexec)
            kexec -e
            reboot -f
            ;;
        *) poweroff -f ;;
    esac
    # The last resort: the kernel does it without asking anybody.
    letter=o
    [ "$verb" = poweroff ] || letter=b
    echo "$letter" >/proc/sysrq-trigger
}

if ! in_bootstrap; then
    if [ "$$" != 1 ]; then
        echo "shutdown: the root's own init must call this, as PID 1 (use poweroff or reboot)" >&2
        exit 1
    fi
    enter_bootstrap
    echo "shutdown: the bootstrap could not be entered" >&2
    reboot -f
fi

[ -e /proc/self ] || mount -t proc proc /proc
[ -e /sys/kernel ] || mount -t sysfs sysfs /sys
[ -c /dev/console ] || mount -t devtmpfs devtmpfs /dev
[ -d /run/srbuild ] || mount -o bind "$old/run" /run
# shellcheck source=hooks/lib/base.sh
. "$home/lib/base.sh"

cd /
# shellcheck source=hooks/lib/ct.sh
. "$SR_LIB/ct.sh"
sr_ct_leave "$verb"
end_strangers
unmount_old
clean_up
finish
# Only PID 1 comes here alive, when not even the kernel would: it must not exit.
[ "$$" != 1 ] || while :; do sr_wait_for 0 "the kernel to end it: $verb" false; done
