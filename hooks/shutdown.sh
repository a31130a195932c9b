#!/bin/busybox sh
# /shutdown VERB: the end. Called as PID 1 once the machine's root is this bootstrap again, with
# what was the root on /oldroot, as systemd does (https://systemd.io/INITRD_INTERFACE), or by the
# bootstrap itself. Ends what still runs on the shared root, unmounts it, leaves the cluster, detaches
# the storage; then VERB: poweroff, reboot, halt or kexec.
#
# Nothing can hold it: every step has a deadline and a line in the log, none stops the next, and the
# whole has the limit [core] shutdown_limit, kept by another process (guard.sh) and by the kernel's
# watchdog. A storage that does not answer is found out first and then waited for no longer.
#
# Another init does the same as its last act, as PID 1 and with its other processes ended:
#   exec /run/initramfs/bin/busybox sh /run/initramfs/shutdown VERB
# which brings itself into the bootstrap first. A shell of the bootstrap may call it too.
set +eu
home=${SR_HOME:-/usr/lib/srbuild}
PATH=$PATH:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/srbuild/applets
export PATH
verb=${1:-poweroff}
old=${SR_ROOT-}/oldroot
SR_POINT=cleanup
export SR_POINT

# --- where this runs --------------------------------------------------------------------------------
#
# The bootstrap has its root where the kernel unpacked it: at home, where its daemons and its mounts
# are. A switch of the root puts another above it, and the shutdown's pivot a second view of it, without
# mounts. The old root is unmounted from there, all else at home; the guard (guard.sh) knows the way.

# From the old root: make this bootstrap the root again and go on there.
enter_bootstrap() {
    tools=/run/initramfs/bin/busybox
    "$tools" mount --make-rprivate /
    "$tools" grep -q ' /run/initramfs ' /proc/self/mountinfo ||
        "$tools" mount -o bind /run/initramfs /run/initramfs
    call_guard
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

# Print the guard's process id; status 1 when there is none with the bootstrap as its root.
guard() {
    read -r guard_pid 2>/dev/null <"${SR_ROOT-}/run/srbuild/shutdown/guard" || return 1
    [ -f "${SR_ROOT-}/proc/$guard_pid/root$home/guard" ] && echo "$guard_pid"
}

# Have the limit kept from here on, by a process at home.
call_guard() {
    if call_pid=$(guard); then
        "${tools:-busybox}" chroot "/proc/$call_pid/root" /bin/busybox sh "$home/guard" begin "$verb" </dev/null
    elif in_bootstrap; then
        sh "$home/guard" begin "$verb" </dev/null
    fi
}

# The number of the mount that is the root of the process $1.
root_of() {
    awk '$5 == "/" { print $1; exit }' "$SR_PROC/$1/mountinfo"
}

go_home() {
    home_pid=$(guard) || return 0
    [ "$(root_of self)" != "$(root_of "$home_pid")" ] || return 0
    # What the old root had mounted here, too, is in the way of what is unmounted at home.
    unmount_all "$SR_RUN" >/dev/null 2>&1
    exec chroot "$SR_PROC/$home_pid/root" /bin/busybox sh "$home/shutdown" "$verb" home
}

# --- steps ------------------------------------------------------------------------------------------

left() {
    read -r left_since 2>/dev/null <"$SR_RUN/shutdown/begun" || left_since=$(sr_uptime)
    # What the guard does at the limit takes 10 seconds.
    left_seconds=$((left_since + limit - 15 - $(sr_uptime)))
    [ "$left_seconds" -gt 1 ] || left_seconds=1
    echo "$left_seconds"
}

# least A B: the smaller number.
least() {
    if [ "$1" -lt "$2" ]; then echo "$1"; else echo "$2"; fi
}

# What does not answer once is not waited for again at length.
dead() {
    [ -e "$SR_RUN/shutdown/dead" ]
}

# step SECONDS WHAT COMMAND…: run a function of this file in a process of its own, at most SECONDS
# long; a storage or server that does not answer can keep that, not us. Its status; 124 if there is none.
step() {
    step_limit=$(least "$1" "$(left)")
    if dead; then
        step_limit=$(least 10 "$step_limit")
    fi
    step_what=$2
    shift 2
    step_since=$(sr_uptime)
    rm -f "$SR_RUN/shutdown/status"
    {
        "$@"
        echo "$?" >"$SR_RUN/shutdown/status.new"
        mv "$SR_RUN/shutdown/status.new" "$SR_RUN/shutdown/status"
    } &
    step_process=$!
    if sr_wait_for "$step_limit" "$step_what" test -s "$SR_RUN/shutdown/status" 2>/dev/null; then
        read -r step_status <"$SR_RUN/shutdown/status"
    else
        kill -KILL "$step_process" 2>/dev/null
        : >"$SR_RUN/shutdown/dead"
        step_status=124
    fi
    case $step_status in
        0) sr_log "$step_what: done in $(($(sr_uptime) - step_since)) s" ;;
        124) sr_warn "$step_what: no end after $step_limit s; going on without" ;;
        *) sr_warn "$step_what: failed (status $step_status) after $(($(sr_uptime) - step_since)) s" ;;
    esac
    return "$step_status"
}

# --- the container, processes, what is not written yet ----------------------------------------------

# Half of the time that is left at most: the storage needs the rest.
leave_container() {
    [ -s "$SR_CT/runtime" ] || return 0
    ct_seconds=$(least "$(sr_ct_stop_seconds)" $(($(left) / 2)))
    step $((ct_seconds + 30)) "stopping the container" sr_ct_leave "$verb" "$ct_seconds"
}

unwritten() {
    awk '/^(Dirty|Writeback|NFS_Unstable):/ { sum += $2 } END { print sum + 0 }' "$SR_PROC/meminfo"
}

# Have everything written. That may take long, and does so as long as it gets less: 10 seconds
# without are the sign of a storage that does not answer.
save() {
    rm -f "$SR_RUN/shutdown/synced"
    {
        "$SR_TIMEOUT" -s KILL 3600 sync
        : >"$SR_RUN/shutdown/synced"
    } &
    save_end=$(($(sr_uptime) + $(left) * 2 / 3))
    save_before=$(unwritten)
    until sr_wait_for 10 "all to be written" test -e "$SR_RUN/shutdown/synced" 2>/dev/null; do
        save_now=$(unwritten)
        if [ "$save_now" -ge "$save_before" ] || [ "$(sr_uptime)" -ge "$save_end" ]; then
            sr_warn "the storage does not take what is to be written ($save_now KiB)"
            : >"$SR_RUN/shutdown/dead"
            return 1
        fi
        sr_log "still to be written: $save_now KiB"
        save_before=$save_now
    done
}

# --- mounts -----------------------------------------------------------------------------------------

# Print the mount points below $1, the deepest first (children follow their parents in mountinfo,
# so the list is turned around), and $1 itself if $2 is `too`.
mounts_of() {
    awk -v top="$1" -v too="$2" '
        (too == "too" && $5 == top) || index($5, top "/") == 1 { mounts[++count] = $5 }
        END { for (i = count; i > 0; i--) print mounts[i] }' "$SR_PROC/self/mountinfo"
}

# mountinfo writes blanks and backslashes as \ooo, which printf understands.
unmount_pass() {
    mounts_of "$@" | while IFS= read -r pass_point; do
        "$SR_TIMEOUT" -s KILL 60 umount "$(printf '%b' "$pass_point")" 2>/dev/null
    done
    [ -z "$(mounts_of "$@")" ]
}

# A read-only file system is a clean one, whoever still uses it.
freeze_pass() {
    mounts_of "$@" | while IFS= read -r pass_point; do
        "$SR_TIMEOUT" -s KILL 20 mount -o remount,ro "$(printf '%b' "$pass_point")" 2>/dev/null
    done
}

# Requests to a server that does not answer end with an error (NFS, CIFS, FUSE); then the mount is
# taken out of the tree, to end with its last user.
force_pass() {
    mounts_of "$@" | while IFS= read -r pass_point; do
        pass_point=$(printf '%b' "$pass_point")
        for pass_how in -f -l; do
            "$SR_TIMEOUT" -s KILL 5 umount "$pass_how" "$pass_point" 2>/dev/null && break
        done
    done
}

# unmount_all TOP [too]: all below TOP, and it as well; by force what can't be.
unmount_all() {
    [ -n "$(mounts_of "$@")" ] || return 0
    if ! dead; then
        step 30 "unmounting $1" unmount_patiently "$@" && return
        dead || step 10 "making read-only what is in use" freeze_pass "$@"
    fi
    sr_warn "still mounted: $(mounts_of "$@" | tr '\n' ' '); letting go of it as it is"
    step 15 "letting go of $1" force_pass "$@"
}

unmount_patiently() {
    sr_wait_for 15 "the unmount" unmount_pass "$@" 2>/dev/null
}

# --- the cluster, the storage, the machine -----------------------------------------------------------

run_cleanup() {
    sr_values_export "$SR_MODULE"
    "$SR_TIMEOUT" -k 5 "$1" sh -eu "$2"
}

# The modules' cleanup scripts, in the order of the table (the reverse of the boot's).
clean_up() {
    while read -r point SR_MODULE script seconds <&4; do
        [ "$point" = cleanup ] || continue
        export SR_MODULE
        step "$((seconds + 5))" cleanup run_cleanup "$seconds" "$script" 4<&-
    done 4<"$home/runs"
    SR_MODULE=
}

# A disk behind a storage that is gone would be asked to write its cache, for minutes.
disks_off() {
    for off_state in "$SR_SYS"/block/sd*/device/state; do
        [ ! -f "$off_state" ] || echo offline >"$off_state"
    done
}

# By timeout(1), as everything here that has an effect: busybox' shell takes its own applets else.
end_machine() {
    case $verb in
        reboot | halt) "$SR_TIMEOUT" 60 "$verb" -n -f ;;
        kexec)
            "$SR_TIMEOUT" 60 kexec -e
            "$SR_TIMEOUT" 60 reboot -n -f
            ;;
        *) "$SR_TIMEOUT" 60 poweroff -n -f ;;
    esac
}

finish() {
    dead && step 5 "turning the disks off" disks_off
    sr_log "$verb"
    end_machine &
    nothing_comes 10
    # The last resort: the kernel does it without asking anybody.
    sr_warn "the kernel does not $verb: by force"
    letter=o
    [ "$verb" = poweroff ] || letter=b
    echo "$letter" >"$SR_PROC/sysrq-trigger"
    nothing_comes 10
    echo b >"$SR_PROC/sysrq-trigger"
}

# Wait for the end, at most $1 seconds.
nothing_comes() {
    sr_wait_for "$1" "the end" false 2>/dev/null
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
[ -d "${SR_ROOT-}/run/srbuild" ] || mount -o bind "$old/run" /run
# shellcheck source=hooks/lib/base.sh
. "$home/lib/base.sh"
# shellcheck source=hooks/lib/ct.sh
. "$SR_LIB/ct.sh"
# shellcheck source=hooks/lib/strangers.sh
. "$SR_LIB/strangers.sh"

cd /
mkdir -p "$SR_RUN/shutdown"
limit=$(
    [ ! -f "$SR_RUN/values" ] || sr_values_export core
    echo "${SR_CORE_SHUTDOWN_LIMIT:-120}"
)
if [ "${2-}" != home ]; then
    call_guard
    leave_container
    step 15 "ending the processes on the root" sr_end_strangers 5
    save
    unmount_all "$old" too
    go_home
fi
unmount_all "$SR_SYSROOT"
clean_up
finish
# Only PID 1 comes here alive, when not even the kernel would: it must not exit.
[ "$$" != 1 ] || while :; do sr_wait_for 0 "the kernel to end it: $verb" false; done
