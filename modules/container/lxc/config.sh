#!/bin/sh
# LXC's configuration (lxc.container.conf(5)), from checked values. Each function prints a part.
set -eu
# shellcheck source=modules/container/lxc/common.sh
. "${0%/*}/common.sh"

dropped="mac_admin mac_override sys_module sys_rawio sys_time"
# Those of /dev that every program expects: null, zero, full, random, urandom, tty, console, ptmx, pts.
allowed="1:3 1:5 1:7 1:8 1:9 5:0 5:1 5:2 136:*"

is_systemd() {
    case ${init:?} in
        */systemd) return 0 ;;
    esac
    return 1
}

# The arguments of the container's init: systemd takes its kernel parameters from them when it runs
# in a container, and so writes nothing to the shared root.
init_words() {
    if is_systemd; then
        for _words_unit in $SR_LXC_MASK; do
            printf 'systemd.mask=%s\n' "$_words_unit"
        done
        grep -qs '^systemd\.hostname=' "$SR_RUN/local/init-words" || printf 'systemd.hostname=%s\n' "$hostname"
    fi
    [ ! -f "$SR_RUN/local/init-words" ] || cat "$SR_RUN/local/init-words"
}

# The command as LXC reads it: split at blanks, quotes and backslashes mean something.
init_command() {
    printf '%s' "$SR_LXC_INIT"
    init_words | while IFS= read -r _command_word; do
        case $_command_word in
            '' | *[!!-~]* | *[\"\'\\]*)
                sr_fail "this is no word for the container's init: $(printf '%s' "$_command_word" | sr_printable)" \
                    "words without blanks, quotes and backslashes: $SR_RUN/local/init-words, [container] mask"
                ;;
        esac
        printf ' %s' "$_command_word"
    done
}

choose_hostname() {
    hostname=${SR_LXC_HOSTNAME:-${SR_VE_HOSTNAME:-$(sr_get NODE_NAME localhost)}}
    case $hostname in
        *[!A-Za-z0-9.-]* | -* | .*) sr_fail "$hostname is no host name" "correct hostname: letters, digits, '-' and '.'" ;;
    esac
}

# The tty that the kernel's console is: LXC puts it into raw mode, which /dev/console would not take.
node_console() {
    read -r _console_names <"$SR_SYS/class/tty/console/active" || _console_names=
    _console_name=${_console_names##* }
    [ "$_console_name" != tty0 ] || _console_name=tty1
    if [ -z "$_console_name" ] || [ ! -c "$SR_DEV/$_console_name" ]; then
        sr_warn "this machine has no console that the container could have"
        return 1
    fi
}

config_console() {
    if [ "$SR_LXC_CONSOLE" = node ] && node_console; then
        printf 'lxc.console.path = %s\n' "$SR_DEV/$_console_name"
    else
        printf '%s\n' "lxc.console.logfile = $lxc/console" "lxc.console.buffer.size = 1MB" \
            "lxc.console.size = 1MB" "lxc.console.rotate = 1"
    fi
}

config_map() {
    # All numbers: directories of users (LDAP, Samba) go far beyond 65536.
    case $SR_LXC_USER_NAMESPACE in
        identity) printf 'lxc.idmap = %s 0 0 4294967295\n' u g ;;
        shifted)
            printf 'lxc.rootfs.options = idmap=container\n'
            printf 'lxc.idmap = %s 0 1000000 65536\n' u g
            ;;
    esac
}

config_base() {
    choose_hostname
    # In statements of their own: a failure in one of them is to be one here.
    _base_command=$(init_command)
    _base_dropped=$(dropped_capabilities)
    _base_ttys=6
    ! is_systemd || _base_ttys=0 # console-getty runs in their place
    printf '%s\n' \
        "lxc.uts.name = $hostname" \
        "lxc.rootfs.path = dir:$SR_SYSROOT" \
        "lxc.rootfs.mount = $lxc/root" \
        "lxc.init.cmd = $_base_command" \
        "lxc.apparmor.profile = unconfined" \
        "lxc.autodev = 1" \
        "lxc.tty.max = $_base_ttys" \
        "lxc.pty.max = 1024" \
        "lxc.cap.drop = $_base_dropped" \
        "lxc.hook.version = 1" \
        "lxc.hook.mount = ${0%/*}/mount.sh" \
        "lxc.hook.post-stop = ${0%/*}/post-stop.sh"
    rm -f "$lxc/keeps"
    ! is_systemd || : >"$lxc/keeps"
    config_console
    config_map
}

# dropped_capabilities: those of $dropped that [ve] capability does not turn on, and those that it
# turns off (NAME:on, NAME:off).
dropped_capabilities() {
    _caps=" $dropped "
    for _cap in ${SR_VE_CAPABILITY:-}; do
        _cap_name=$(printf '%s' "${_cap%%:*}" | tr '[:upper:]' '[:lower:]')
        case $_cap_name in
            '' | *[!a-z_]*) sr_fail "$_cap is no capability" "correct [ve] capability: NAME:on or NAME:off" ;;
        esac
        case $_cap in
            *:on) _caps=$(printf '%s' "$_caps" | sed "s/ $_cap_name / /") ;;
            *:off) _caps="$_caps$_cap_name " ;;
            *) sr_fail "$_cap says neither on nor off" "correct [ve] capability: NAME:on or NAME:off" ;;
        esac
    done
    _caps=${_caps# }
    printf '%s\n' "${_caps% }"
}

# --- mounts ---------------------------------------------------------------------------------------

# field TEXT: as a field of fstab(5).
field() {
    printf '%s' "$1" | sed 's/\\/\\134/g; s/ /\\040/g; s/#/\\043/g'
}

# entry SOURCE TARGET TYPE OPTIONS
entry() {
    printf 'lxc.mount.entry = %s %s %s %s 0 0\n' "$(field "$1")" "$(field "$2")" "$3" "$4"
}

config_mounts() {
    if [ "${network:?}" = host ] && [ "$SR_LXC_USER_NAMESPACE" != none ]; then
        # A user namespace may mount a sysfs only with a network of its own: this is the node's. The
        # control groups below it are the node's, too: LXC must mount the container's over them.
        printf 'lxc.mount.auto = proc:mixed cgroup:mixed:force\n'
        entry /sys sys none rbind,ro
    else
        printf 'lxc.mount.auto = proc:mixed sys:ro cgroup:mixed\n'
    fi
    entry tmpfs run tmpfs rw,nosuid,nodev,mode=755
    if ! cut -f 3 "$SR_RUN/local/mounts" 2>/dev/null | grep -qx tmp; then
        [ ! -d "$SR_SYSROOT/tmp" ] || [ -L "$SR_SYSROOT/tmp" ] || entry tmpfs tmp tmpfs rw,nosuid,nodev,mode=1777
    fi
}

# What hooks/lib/hostfiles.sh will mount below the root before LXC starts: KIND SOURCE TARGET, tabs
# between. Nothing of it may lead out of the root.
check_host_specific() {
    [ -f "$SR_RUN/local/mounts" ] || return 0
    _tab=$(printf '\t')
    while IFS="$_tab" read -r _kind _source _target; do
        case $_target in
            '' | /* | ../* | */../* | */..) sr_fail "the list of host-specific files has the target '$_target'" ;;
        esac
        case $_kind in
            dir | file | readonly | tmpfs) ;;
            *) sr_fail "the list of host-specific files has the kind '$_kind', which LXC's module does not know" ;;
        esac
    done <"$SR_RUN/local/mounts"
}

# --- devices --------------------------------------------------------------------------------------

# Nodes may be made (archives hold some), but none be opened except those named.
config_devices() {
    _key=lxc.cgroup2.devices
    [ "$SR_LXC_CGROUP" = v2 ] || _key=lxc.cgroup.devices
    printf '%s.deny = a\n' "$_key"
    printf '%s.allow = %s *:* m\n' "$_key" c "$_key" b
    for _device in $allowed; do
        printf '%s.allow = c %s rwm\n' "$_key" "$_device"
    done
    for _device in $SR_LXC_DEVICES; do
        one_device "$_device" rw
    done
    for _device in ${SR_VE_DEVNODES:-}; do
        one_device "/dev/${_device%%:*}" "${_device#*:}"
    done
}

# one_device PATH ACCESS
one_device() {
    case $1 in
        */../* | */..) sr_fail "$1 is no device's path" ;;
        /dev/?*) ;;
        *) sr_fail "$1 does not lie in /dev" "correct [container] devices" ;;
    esac
    if [ -b "$SR_ROOT$1" ]; then
        sr_fail "$1 is a disk: the container gets none, for it could be the root's" \
            "drop it from [container] devices and [ve] devnodes"
    fi
    [ -c "$SR_ROOT$1" ] || sr_fail "there is no device $1" "is its driver in the image (--kmod)?"
    case $2 in
        r | w | rw) ;;
        *) sr_fail "$2 is no access to a device" "r, w or rw: [ve] devnodes" ;;
    esac
    _numbers=$(stat -c '0x%t 0x%T' "$SR_ROOT$1")
    printf '%s.allow = c %d:%d %sm\n' "$_key" "${_numbers% *}" "${_numbers#* }" "$2"
    entry "$SR_ROOT$1" "${1#/}" none bind,create=file
}
