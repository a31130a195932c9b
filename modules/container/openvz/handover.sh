#!/bin/sh
# Check what vzctl would only fail on later, or not at all; make the node what it expects; put its
# configuration in place; ask for the supervisor.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=hooks/lib/newroot.sh
. "$SR_LIB/newroot.sh"
# shellcheck source=hooks/lib/ct.sh
. "$SR_LIB/ct.sh"
here=${0%/*}
# shellcheck source=modules/container/openvz/host.sh
. "$here/host.sh"

check_private() {
    for _file in .ve.layout root.hdd; do
        if [ -e "$SR_SYSROOT/$_file" ] || [ -L "$SR_SYSROOT/$_file" ]; then
            sr_fail "the shared root holds $_file: it is laid out as a ploop container or one of OpenVZ's own" \
                "a shared root is a plain tree (simfs); copy the container's files out of its image (docs/openvz.md)"
        fi
    done
    _owner=$(stat -c '%u:%g' "$SR_SYSROOT")
    if [ "$(generation)" = upstream ] && [ "$_owner" != 0:0 ]; then
        sr_fail "the shared root's top directory belongs to $_owner, and vzctl refuses what is not 0:0 (47)" \
            "chown 0:0 it"
    fi
    [ ! -e "$SR_SYSROOT/.owner" ] || sr_warn "/.owner names one node; vzctl is told to pass it over (--skipowner)"
}

# What a mainline kernel's container has of its own is mounted in its own namespace (place.sh), where
# nothing is seen but the shared root.
check_sources() {
    [ "$(generation)" = upstream ] && [ -s "$SR_RUN/local/mounts" ] || return 0
    awk -F '\t' -v root="$SR_SYSROOT/" '($1 == "dir" || $1 == "file") && index($2, root) != 1 { exit 1 }' "$SR_RUN/local/mounts" ||
        sr_fail "vzctl's container sees nothing on a mainline kernel but the shared root, and this node has files of its own elsewhere" \
            "[local] state = \"shared-root\" and a root that is not read-only, or --container lxc"
}

# setting NAME: what CTID.conf is to have under the name.
setting() {
    sed -n "s/^$1=\"\(.*\)\"\$/\1/p" "$SR_ETC/ct.conf"
}

# On a mainline kernel PHYSPAGES counts by its barrier, and a barrier of 0 is no limit at all. What
# vzctl would have the container's own shell do stands in files for place.sh.
write_upstream() {
    setting HOSTNAME >"$vz/hostname"
    setting SEARCHDOMAIN >"$vz/searchdomain"
    setting NAMESERVER >"$vz/nameserver"
    if [ "$(cat "$vz/nameserver")" = inherit ]; then
        sed -n 's/^nameserver[[:blank:]][[:blank:]]*//p' "$SR_ROOT/etc/resolv.conf" 2>/dev/null | tr '\n' ' ' >"$vz/nameserver"
    fi
    sed -e 's/^PHYSPAGES="[^:"]*:\([^"]*\)"$/PHYSPAGES="\1:\1"/' \
        -e 's/^PHYSPAGES="9223372036854775807:/PHYSPAGES="0:/' \
        -e '/^HOSTNAME=/d; /^NAMESERVER=/d; /^SEARCHDOMAIN=/d; /^NETDEV=/d' "$SR_ETC/ct.conf"
    printf 'NETDEV="srbuild%s"\n' "$(setting NETDEV | sed 's/^/ /')"
}

# vzctl's own script, where the image has it, is called for every other device.
place_script() {
    _scripts=$SR_ROOT/usr/libexec/vzctl/scripts
    mkdir -p "$_scripts"
    [ ! -e "$_scripts/vps-netns_dev_add" ] || [ -e "$_scripts/vps-netns_dev_add.vzctl" ] ||
        mv "$_scripts/vps-netns_dev_add" "$_scripts/vps-netns_dev_add.vzctl"
    cp "$here/place.sh" "$_scripts/vps-netns_dev_add"
    chmod 0755 "$_scripts/vps-netns_dev_add"
}

# CTID.mount and CTID.umount, and what is run in the container in place of the distribution's scripts.
place_actions() {
    for _action in mount umount; do
        cp "$here/$_action.sh" "$SR_ROOT/etc/vz/conf/$ctid.$_action"
        chmod 0755 "$SR_ROOT/etc/vz/conf/$ctid.$_action"
    done
    printf '%s\n' "$ct_root" >"$vz/root"
    for _dists in etc/vz/dists usr/libexec/libvzctl/dists; do
        [ -d "$SR_ROOT/$_dists/scripts" ] || continue
        cp "$here/dists/srbuild.conf" "$SR_ROOT/$_dists/srbuild.conf"
        for _script in set_hostname set_dns add_ip del_ip; do
            cp "$here/dists/$_script.sh" "$SR_ROOT/$_dists/scripts/srbuild-$_script.sh"
        done
    done
}

write_configuration() {
    [ -s "$SR_ETC/ct.conf" ] || sr_fail "there is no configuration of this node's container" \
        "build the site part from a cluster file"
    mkdir -p "$SR_ROOT/etc/vz/conf" "$SR_ROOT/etc/vz/dists/scripts" "$SR_ROOT/var/log"
    _conf=$SR_ROOT/etc/vz/conf/$ctid.conf
    if [ "$(generation)" = upstream ]; then
        write_upstream >"$_conf"
        place_script
        echo '# Nothing is run in the container.' >"$SR_ROOT/etc/vz/dists/srbuild.conf"
    else
        cp "$SR_ETC/ct.conf" "$_conf"
        place_actions
    fi
    # Without the file vzctl ends with a segmentation fault (139) where NAMESERVER is inherit.
    [ -e "$SR_ROOT/etc/resolv.conf" ] || : >"$SR_ROOT/etc/resolv.conf"
}

# What the kernel's own containers have nothing for: said, not passed over.
say_unmapped() {
    [ "$(generation)" = upstream ] || return 0
    _lost=
    for _name in SWAPPAGES NUMPROC IOPRIO IOLIMIT IOPSLIMIT KMEMSIZE PRIVVMPAGES NUMFILE NETFILTER IPTABLES; do
        ! env | grep -q "^SR_VE_$_name=." || _lost="$_lost $(printf '%s' "$_name" | tr '[:upper:]' '[:lower:]')"
    done
    [ -z "$_lost" ] || sr_warn "a mainline kernel's vzctl has nothing for these settings of [ve]:$_lost"
}

# How the container ended is visible nowhere in upstream mode; the system call that ends it is.
trace_ends() {
    [ "$(generation)" = upstream ] || return 0
    [ -d "$SR_SYS/kernel/tracing/events" ] || sr_run mount -t tracefs tracefs "$SR_SYS/kernel/tracing" || :
    if [ ! -d "$SR_SYS/kernel/tracing/events/syscalls/sys_enter_reboot" ]; then
        sr_warn "this kernel traces no system calls (CONFIG_FTRACE_SYSCALLS): every end of the container counts as a crash"
        return 0
    fi
    mkdir -p "$tracing"
    for _event in sys_enter_reboot sys_exit_reboot; do
        echo 1 >"$tracing/events/syscalls/$_event/enable"
    done
}

sr_newroot_check /sbin/init
mkdir -p "$vz"
choose_generation
check_private
check_sources
load_kmods
mount_cgroups
prepare_network
# Who may restart may load another kernel, too (CAP_SYS_BOOT); nobody here does.
[ "$(generation)" != upstream ] || set_sysctl kernel/kexec_load_disabled 1
mkdir -p "$SR_ROOT$private" "$SR_ROOT$ct_root" "$SR_ROOT/vz/lock" "$SR_ROOT/var/lib/vzctl/vepid" \
    "$SR_ROOT/var/lib/vzctl/veip" "$SR_ROOT/var/lib/vzctl/vzreboot" "$SR_ROOT/run/netns"
write_configuration
say_unmapped
trace_ends
make_root
bind_private
if [ "$(generation)" != upstream ]; then
    place_events
    _inside=$SR_ROOT/..
    [ "$(generation)" != 4 ] || _inside=${SR_ROOT:-/}
    sr_run chroot "$_inside" vzeventd || sr_fail "vzeventd could not be started" "without it nobody hears that the container ended"
fi
sr_ct_handover openvz "$SR_ROOT/var/log/vzctl.log"
sr_log "the shared root will run in the container $ctid (OpenVZ, $(generation))"
