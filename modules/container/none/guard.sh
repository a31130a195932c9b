#!/bin/sh
# Before the shared root's init takes the machine over: what keeps the shutdown's limit (hooks/guard.sh)
# is started, is told by that init when the machine goes down, and survives its kill as the daemons
# of the root's storage do. All of it stands in /run: nothing is written to the shared root.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"

units=$SR_ROOT/run/systemd/system
# Not in /run, which Debian's sysvinit mounts anew with noexec.
state=$SR_HOME/none

# To know the targets of a shutdown by name makes systemd read them at boot, not when the storage may
# be gone.
guard_unit() {
    cat <<END
[Unit]
Description=Tell srbuild's bootstrap when the machine goes down
DefaultDependencies=no
Conflicts=shutdown.target
Before=shutdown.target umount.target final.target
Before=poweroff.target reboot.target halt.target kexec.target ctrl-alt-del.target
Before=systemd-poweroff.service systemd-reboot.service systemd-halt.service systemd-kexec.service
IgnoreOnIsolate=yes
RefuseManualStop=yes

[Service]
ExecStart=$run $SR_HOME/guard notice
Restart=always
TimeoutStopSec=5
END
}

verb_unit() {
    cat <<END
[Unit]
Description=Tell srbuild's bootstrap how the machine goes down
DefaultDependencies=no

[Service]
Type=oneshot
ExecStart=$run -c "echo %i >$SR_RUN/shutdown/verb"
TimeoutStartSec=5
END
}

tell_systemd() {
    mkdir -p "$units/sysinit.target.wants"
    guard_unit >"$units/srbuild-guard.service"
    ln -sf ../srbuild-guard.service "$units/sysinit.target.wants/"
    verb_unit >"$units/srbuild-verb@.service"
    # It fails where machine-id is the node's own, mounted on the shared one; nothing is to be committed.
    ln -sf /dev/null "$units/systemd-machine-id-commit.service"
    for verb in poweroff reboot halt kexec; do
        mkdir -p "$units/$verb.target.wants"
        ln -sf ../srbuild-verb@.service "$units/$verb.target.wants/srbuild-verb@$verb.service"
    done
}

# The ids of the processes that asked to be spared, for sendsigs of sysvinit, which looks at ids only.
tell_sendsigs() {
    mkdir -p "$SR_ROOT/run/sendsigs.omit.d"
    for process in "$SR_PROC"/[0-9]*; do
        words=
        read -r words 2>/dev/null <"$process/cmdline" || :
        case $words in
            @*) echo "${process##*/}" ;;
        esac
    done >"$SR_ROOT/run/sendsigs.omit.d/srbuild"
}

# Have the bootstrap's shutdown follow on sysvinit's: see halt.sh. Both of its programs are copied, since
# a bind would keep the root's file system in use.
tell_sysvinit() {
    halt=$(sr_resolve /sbin/halt) && init=$(sr_resolve /sbin/init) || return 0
    case ${halt##*/}:${init##*/} in
        halt:init) ;;
        *) return 0 ;;
    esac
    mkdir -p "$state/real"
    cp "$SR_SYSROOT$halt" "$state/real/halt"
    cp "$SR_SYSROOT$init" "$state/real/telinit"
    chmod 0755 "$state/real/halt" "$state/real/telinit"
    ln -sf halt "$state/real/reboot"
    ln -sf halt "$state/real/poweroff"
    "$SR_TIMEOUT" 10 mount -o move "$SR_RUN/halt" "$SR_SYSROOT$halt"
}

if ! sr_alive "$SR_RUN/shutdown/guard"; then
    sr_survive sh "$SR_HOME/guard" watch
fi
if sr_root_has_systemd; then
    # The guard's root is the bootstrap, wherever the machine's own is by then.
    read -r guard <"$SR_RUN/shutdown/guard"
    run="/proc/$guard/root/bin/busybox chroot /proc/$guard/root /bin/busybox sh"
    tell_systemd
else
    tell_sysvinit
fi
tell_sendsigs
