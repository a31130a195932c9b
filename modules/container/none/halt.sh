#!/bin/sh
# In the place of /sbin/halt on a root with sysvinit, and so of reboot and poweroff, which are links to it.
# The last act of runlevels 0 and 6 is one of them: then init, PID 1, is made to execute itself anew
# (telinit u), and what stands in its place by now is the bootstrap's shutdown (last.sh). Everything
# else, and whatever of this can't be, is the real one's. This is run by the root's own shell and programs.
set +eu
bootstrap=${SR_ROOT-}/run/initramfs
home=$bootstrap/usr/lib/srbuild

real() {
    if [ ! -x "$home/none/real/${0##*/}" ]; then
        umount -l "$(readlink -f "$0")" || exit
        exec "$0" "$@"
    fi
    exec "$home/none/real/${0##*/}" "$@"
}

# The scripts have unmounted it by then; the guard's root is the bootstrap. By its own mount, for that of
# util-linux would take what the link reads as.
find_bootstrap() {
    [ ! -x "$bootstrap/bin/busybox" ] || return 0
    read -r guard <"${SR_ROOT-}/run/srbuild/shutdown/guard" || return
    root=${SR_ROOT-}/proc/$guard/root
    "$root/bin/busybox" mount -o bind "$root" "$bootstrap"
}

case ${RUNLEVEL-} in
    0 | 6) ;;
    *) real "$@" ;;
esac
case ${0##*/} in
    reboot | poweroff) verb=${0##*/} ;;
    *) verb=halt ;;
esac
for word; do
    case $verb$word in
        *-*w*) real "$@" ;; # notes the shutdown in wtmp, and no more
        halt-*p*) verb=poweroff ;;
    esac
done
find_bootstrap &&
    init=$(readlink -f "${SR_ROOT-}/sbin/init") &&
    "$home/modules/none/last.sh" try &&
    echo "$verb" >"$home/none/verb" &&
    mount -o bind "$home/modules/none/last.sh" "$init" &&
    "$home/none/real/telinit" u &&
    timeout 20 tail -f /dev/null
real "$@"
