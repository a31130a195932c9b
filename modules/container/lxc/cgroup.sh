#!/bin/sh
# The kernel's control groups, as the container is to see them, on /sys/fs/cgroup.
set -eu
# shellcheck source=modules/container/lxc/common.sh
. "${0%/*}/common.sh"

mount_cgroups() {
    _cgroup=$SR_SYS/fs/cgroup
    [ -d "$_cgroup" ] || sr_fail "this kernel has no control groups" "it needs CONFIG_CGROUPS"
    if grep -q " $_cgroup " "$SR_PROC/mounts"; then
        return 0
    fi
    if [ "$SR_LXC_CGROUP" = v2 ]; then
        grep -q 'cgroup2$' "$SR_PROC/filesystems" ||
            sr_fail "this kernel has no version 2 of control groups" "use cgroup = v1"
        sr_run mount -t cgroup2 -o nsdelegate,nosuid,nodev,noexec cgroup2 "$_cgroup"
        return 0
    fi
    mount_v1
    [ "$SR_LXC_CGROUP" = v1 ] || {
        mkdir -p "$_cgroup/unified"
        sr_run mount -t cgroup2 -o nsdelegate,nosuid,nodev,noexec cgroup2 "$_cgroup/unified"
    }
}

# Every controller a hierarchy of its own, and systemd's, which has none.
mount_v1() {
    sr_run mount -t tmpfs -o mode=0755,nosuid,nodev,noexec tmpfs "$_cgroup"
    mkdir -p "$_cgroup/systemd"
    sr_run mount -t cgroup -o none,name=systemd,nosuid,nodev,noexec cgroup "$_cgroup/systemd"
    while read -r _controller _ _ _enabled; do
        case $_controller:$_enabled in
            *[!a-z0-9_]*:1 | *:0 | '#'*) continue ;;
        esac
        mkdir -p "$_cgroup/$_controller"
        if ! sr_run mount -t cgroup -o "$_controller,nosuid,nodev,noexec" cgroup "$_cgroup/$_controller"; then
            rmdir "$_cgroup/$_controller"
            sr_warn "the controller $_controller is not to be had in version 1"
        fi
    done <"$SR_PROC/cgroups"
}
