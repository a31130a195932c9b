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
    [ "$SR_LXC_USER_NAMESPACE" = shifted ] || return 0
    _map_type=$(awk -v point="$SR_SYSROOT" '$2 == point { type = $3 } END { print type }' "$SR_PROC/mounts")
    case $_map_type in
        ext4 | xfs | btrfs | f2fs) ;;
        *)
            sr_fail "user_namespace = shifted does not go with $_map_type: it takes no idmapped mounts" \
                "use identity; docs/containers.md has what root in the container can then do"
            ;;
    esac
}

[ -e "$SR_PROC/self/ns/user" ] || [ "$SR_LXC_USER_NAMESPACE" = none ] ||
    sr_fail "this kernel has no user namespaces" "use user_namespace = none, or a kernel with CONFIG_USER_NS"
sr_newroot_check "$SR_LXC_INIT"
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
