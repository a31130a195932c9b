#!/bin/sh
# A container on a mainline kernel has the node's kernel in its /proc and /sys, as root of the node.
set -eu
# shellcheck source=modules/container/openvz/common.sh
. "${0%/*}/common.sh"

# Read by a shell in the container's namespaces that is the bootstrap's: none of its programs is used.
# The network's settings are its own.
closing=$(cat <<'END'
mount -o bind /proc/sys/net /proc/tty || exit
for path in /proc/sys /proc/sysrq-trigger /proc/irq /proc/bus /sys; do
    [ ! -e "$path" ] || { mount -o bind "$path" "$path" && mount -o remount,bind,ro "$path" "$path"; } || exit
done
mount -o move /proc/tty /proc/sys/net
END
)

# close_kernel: make the settings of the node's kernel read-only in the container. Without its init,
# which may have ended at once, there is nothing to be closed.
close_kernel() {
    is_running || return 0
    sr_run nsenter -t "$init" -m -p sh -c "$closing" || ! is_running ||
        sr_warn "the kernel's settings could not be closed to the container: it may change the node's"
}
