#!/bin/sh
# The node as vzctl expects it: kmods, control groups, sysctls, a root that can be pivoted.
set -eu
# shellcheck source=modules/container/openvz/common.sh
. "${0%/*}/common.sh"

# choose_generation: what the kernel and vzctl say, against what was asked for.
choose_generation() {
    _version=$(sr_run -t 10 vzctl --version 2>/dev/null) || sr_fail "vzctl --version failed" "is vzctl whole? docs/openvz.md"
    _version=${_version##*version }
    found=upstream
    if [ -d "$SR_PROC/vz" ]; then
        case $_version in
            [789].*) found=${_version%%.*} ;;
            [34].*) found=4 ;;
            *) sr_fail "vzctl $_version is of no OpenVZ that is known" "name it: [container] generation" ;;
        esac
    fi
    wanted=$SR_OPENVZ_GENERATION
    case $wanted:$found in
        auto:* | "$found:$found") wanted=$found ;;
        upstream:*) sr_fail "this is an OpenVZ kernel (/proc/vz), not a mainline one" "use generation = auto" ;;
        *:upstream)
            sr_fail "OpenVZ $wanted was asked for, and this kernel is not OpenVZ's: there is no /proc/vz" \
                "boot OpenVZ's kernel, or use generation = upstream or --container lxc"
            ;;
        [789]:[789]) ;;
        *) sr_fail "OpenVZ $wanted was asked for, but vzctl is $_version" "use generation = auto" ;;
    esac
    if [ "$wanted" = upstream ]; then
        case $_version in
            4.*) ;;
            *) sr_fail "vzctl $_version does not run on a mainline kernel" "vzctl 4.3 to 4.11 do; or use --container lxc" ;;
        esac
        check_number
    elif [ "$wanted" = 4 ]; then
        check_number
    fi
    printf '%s\n' "$wanted" >"$vz/generation"
}

check_number() {
    sr_check_int "$ctid" || sr_fail "vzctl $_version knows containers by number only, not $ctid" "correct [container] ctid"
}

# Loaded in order; without the first three vzctl has nothing to talk to.
load_kmods() {
    case $(generation) in
        upstream) return 0 ;;
        4) _kmods="af_packet vzmon vzdquota vzdev vzcompat vziolimit vzcpt vzrst simfs vznetdev vznet vzethdev" ;;
        *) _kmods="bridge fuse vzmon vzdev vzstat vzevent overlay veth br_netfilter ip_vs" ;;
    esac
    for _kmod in $_kmods; do
        case $_kmod in
            vzmon | vzdquota | vzdev) sr_modprobe "$_kmod" ;;
            *) sr_run modprobe -q "$_kmod" || sr_warn "the kmod $_kmod could not be loaded" ;;
        esac
    done
    sr_run modprobe -q vzevent reboot_event=1 || sr_warn "the kmod vzevent could not be loaded: reboots count as halts"
    if [ "$(generation)" = 4 ]; then
        sr_wait_for 10 "/dev/vzctl" test -c "$SR_DEV/vzctl" || sr_fail "there is no /dev/vzctl" "did vzdev load? dmesg"
    fi
}

# Upstream mode knows version 1 alone: with version 2 vzctl start fails (6), and beside it vzctl
# says for ever that the container runs, and its stop hangs.
mount_cgroups() {
    [ "$(generation)" = upstream ] || return 0
    _cgroup=$SR_SYS/fs/cgroup
    if awk '$3 == "cgroup2" { found = 1 } END { exit !found }' "$SR_PROC/mounts"; then
        sr_fail "a cgroup v2 hierarchy is mounted, and vzctl's upstream mode knows version 1 alone" \
            "boot with cgroup_no_v1 unset and nothing that mounts v2, or use --container lxc"
    fi
    grep -q " $_cgroup " "$SR_PROC/mounts" && return 0
    sr_run mount -t tmpfs -o mode=0755,nosuid,nodev,noexec tmpfs "$_cgroup"
    while read -r _controller _ _ _enabled; do
        # Those with which vzctl is known to work.
        case $_controller:$_enabled in
            blkio:1 | cpu:1 | cpuacct:1 | cpuset:1 | devices:1 | freezer:1 | memory:1 | pids:1) ;;
            *) continue ;;
        esac
        mkdir -p "$_cgroup/$_controller"
        if ! sr_run mount -t cgroup -o "$_controller,nosuid,nodev,noexec" cgroup "$_cgroup/$_controller"; then
            rmdir "$_cgroup/$_controller"
            case $_controller in
                memory | cpu | devices | freezer)
                    sr_fail "the cgroup controller $_controller is not to be had in version 1" \
                        "this kernel is too new for vzctl: use --container lxc"
                    ;;
            esac
        fi
    done <"$SR_PROC/cgroups"
}

# set_sysctl NAME VALUE: as OpenVZ's own start script does.
set_sysctl() {
    [ ! -w "$SR_PROC/sys/$1" ] || echo "$2" >"$SR_PROC/sys/$1"
}

prepare_network() {
    [ -n "$SR_VE_IP_ADDRESS$SR_VE_NETIF" ] || return 0
    set_sysctl net/ipv4/ip_forward 1
    set_sysctl net/ipv4/conf/default/proxy_arp 0
    set_sysctl net/ipv4/conf/default/send_redirects 1
    set_sysctl net/ipv4/conf/all/send_redirects 0
    case $(generation) in
        upstream)
            for _kmod in veth bridge; do
                sr_run modprobe -q "$_kmod" || sr_warn "the kmod $_kmod could not be loaded"
            done
            ;;
        *)
            [ -d "$SR_SYS/class/net/venet0" ] || [ "$(generation)" = 4 ] ||
                sr_run ip link add name venet0 type venet
            sr_run ip link set venet0 up
            set_sysctl net/ipv4/conf/venet0/send_redirects 0
            ;;
    esac
}

# pivot_root(2) refuses the root that the kernel unpacked the image to: it has no parent. Bound over
# itself it has one, at the cost of nothing. Processes that run keep theirs; /.. leads to the new one.
# The other mounts are not seen there unless they are bound as well.
make_root() {
    [ "$(generation)" != 4 ] || return 0
    [ ! -s "$vz/pivot" ] || return 0
    mkdir -p "$SR_ROOT/vz/over"
    sr_run mount -o bind "$SR_ROOT/" "$SR_ROOT/vz/over"
    for _dir in proc sys dev run; do
        sr_run mount -o rbind "$SR_ROOT/$_dir" "$SR_ROOT/vz/over/$_dir"
    done
    sr_run mount -o bind "$SR_SYSROOT" "$SR_ROOT/vz/over/sysroot"
    sr_run mount -o bind "$SR_SYSROOT" "$SR_ROOT/vz/over$private"
    sr_run mount -o move "$SR_ROOT/vz/over" "$SR_ROOT/"
    echo over >"$vz/pivot"
}

# On an OpenVZ kernel vzctl 4 uses chroot(2): the bootstrap's own root will do.
bind_private() {
    [ "$(generation)" = 4 ] || return 0
    grep -q " $SR_ROOT$private " "$SR_PROC/self/mountinfo" || sr_run mount -o bind "$SR_SYSROOT" "$SR_ROOT$private"
}

# Our own scripts where vzeventd looks for its: it must leave the end of the container to us.
place_events() {
    for _place in usr/libexec/vzctl/scripts/vzevent usr/lib/vzctl/scripts/vzevent etc/vz/vzevent.d/ve; do
        [ -d "$SR_ROOT/${_place%/*}" ] || continue
        for _event in reboot stop; do
            cp "${0%/*}/event.sh" "$SR_ROOT/$_place-$_event"
            chmod 0755 "$SR_ROOT/$_place-$_event"
        done
    done
}
