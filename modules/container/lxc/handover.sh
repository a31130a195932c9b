#!/bin/sh
# Check what the container needs, write LXC's configuration, and ask for the supervisor.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=hooks/lib/newroot.sh
. "$SR_LIB/newroot.sh"
# shellcheck source=hooks/lib/ct.sh
. "$SR_LIB/ct.sh"
here=${0%/*}
# shellcheck source=modules/container/lxc/cgroup.sh
. "$here/cgroup.sh"
# shellcheck source=modules/container/lxc/network.sh
. "$here/network.sh"
# shellcheck source=modules/container/lxc/ve.sh
. "$here/ve.sh"
# shellcheck source=modules/container/lxc/config.sh
. "$here/config.sh"

# Idmapped mounts came with Linux 5.12, file system by file system (FS_ALLOW_IDMAP).
check_map() {
    _map_tab=$(printf '\t')
    [ "$SR_LXC_USER_NAMESPACE" = shifted ] || return 0
    _map_type=$(awk -v point="$SR_SYSROOT" '$2 == point { type = $3 } END { print type }' "$SR_PROC/mounts")
    case $_map_type in
        ext4 | xfs | btrfs | f2fs) ;;
        *)
            sr_fail "user_namespace = shifted does not go with $_map_type: it takes no idmapped mounts" \
                "use identity; docs/containers.md has what root in the container can then do"
            ;;
    esac
    # Of tmpfs from 6.3 on.
    _map_kernel=$(cat "$SR_PROC/sys/kernel/osrelease")
    _map_minor=${_map_kernel#*.}
    [ "${_map_kernel%%.*}" -lt 6 ] || { [ "${_map_kernel%%.*}" -eq 6 ] && [ "${_map_minor%%[!0-9]*}" -lt 3 ]; } || return 0
    if grep -qs -e '^tmpfs' -e "$_map_tab$SR_RUN/local/" "$SR_RUN/local/mounts"; then
        sr_fail "user_namespace = shifted does not go with what this node keeps in memory: Linux $_map_kernel maps no tmpfs" \
            "use identity, a kernel from 6.3 on, or keep it on the root: [local] state and add"
    fi
}

[ -e "$SR_PROC/self/ns/user" ] || [ "$SR_LXC_USER_NAMESPACE" = none ] ||
    sr_fail "this kernel has no user namespaces" "use user_namespace = none, or a kernel with CONFIG_USER_NS"
sr_newroot_check "$SR_LXC_INIT"
check_host_specific
check_map
mkdir -p "$lxc/root"
mount_cgroups
choose_network
{
    config_base
    config_mounts
    config_devices
    network_config
    ve_config
} >"$config.new"
mv "$config.new" "$config"
sr_ct_handover lxc "$log" "$lxc/log.old" "$lxc/console"
sr_log "$SR_LXC_INIT will run in a container (LXC, network: $network, users: $SR_LXC_USER_NAMESPACE)"
