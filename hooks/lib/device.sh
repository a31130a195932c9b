# shellcheck shell=sh
# Kernel modules and devices, without udev: drivers come from sysfs' modaliases, devices are
# looked for in sysfs with a deadline.

# sr_modprobe [KMOD…]: load kernel modules; without words those that the running boot module
# declares. Fails when one of them can't be loaded.
sr_modprobe() {
    if [ "$#" -eq 0 ]; then
        [ -f "$SR_HOME/kmods/$SR_MODULE" ] || return 0
        while IFS= read -r _modprobe_name; do
            set -- "$@" "$_modprobe_name"
        done <"$SR_HOME/kmods/$SR_MODULE"
        [ "$#" -gt 0 ] || return 0
    fi
    sr_run -t 120 modprobe -a "$@"
}

# sr_find_program NAME: set $program to the first NAME on PATH, by its path; fails when there is none.
# For a bare name busybox would take an applet of its own, even where there is the real tool.
sr_find_program() {
    _program_rest=$PATH:
    while [ -n "$_program_rest" ]; do
        program=${_program_rest%%:*}/$1
        _program_rest=${_program_rest#*:}
        [ ! -x "$program" ] || return 0
    done
    sr_fail "there is no program $1" "is its package in the tree that the image was built from?"
}

# Load the drivers of all devices present. Drivers that the image does not carry are no error:
# it carries what the boot needs, not what the machine has. Buses show their devices only once
# their own driver is there, so this goes on until no new alias turns up.
# The limit of the script that calls it is the limit of all this.
sr_coldplug() {
    sr_find_program modprobe
    : >"$SR_RUN/aliases"
    # Every device that a driver can take is on a bus (Documentation/driver-api/driver-model/bus.rst):
    # to read these links takes a fraction of a walk through all of sysfs. An alias never holds a
    # space (include/linux/mod_devicetable.h), so words are lines.
    while cat "$SR_SYS"/bus/*/devices/*/modalias 2>/dev/null | LC_ALL=C awk '
        seen[$0]++ || source == "tried" || !/^[A-Za-z0-9_]+:[!-~]*$/ { next }
        { print; found = 1 }
        END { exit !found }' source=tried "$SR_RUN/aliases" source=sysfs - >"$SR_RUN/aliases.new"; do
        xargs "$program" -a -b -q <"$SR_RUN/aliases.new" >/dev/null 2>&1 || :
        cat "$SR_RUN/aliases.new" >>"$SR_RUN/aliases"
    done
}

# sr_block_of DIRECTORY: print the name of the first disk below a SCSI target's sysfs directory
# (…/targetH:C:T), or that with the unit number $2; status 1 when there is none yet.
sr_block_of() {
    for _block_path in "$1"/*:*:*:*/block/*; do
        [ -d "$_block_path" ] || continue
        _block_unit=${_block_path%/block/*}
        _block_unit=${_block_unit##*:}
        [ "${2:-$_block_unit}" = "$_block_unit" ] || continue
        printf '%s\n' "${_block_path##*/}"
        return 0
    done
    return 1
}

# sr_root_has_systemd: is systemd on $SR_SYSROOT? Units alone are on every Debian.
sr_root_has_systemd() {
    sr_resolve /usr/lib/systemd/systemd >/dev/null || sr_resolve /lib/systemd/systemd >/dev/null
}

# sr_resolve PATH: print where PATH leads inside $SR_SYSROOT, symlinks followed as a process
# whose root it is would follow them; status 1 when it does not exist there or links run in a loop.
sr_resolve() {
    _resolve_rest=${1#/}/
    _resolve_done=
    _resolve_links=0
    while [ -n "$_resolve_rest" ]; do
        _resolve_part=${_resolve_rest%%/*}
        _resolve_rest=${_resolve_rest#*/}
        case $_resolve_part in
            '' | .) continue ;;
            ..)
                _resolve_done=${_resolve_done%/*}
                continue
                ;;
        esac
        if [ -L "$SR_SYSROOT$_resolve_done/$_resolve_part" ]; then
            _resolve_links=$((_resolve_links + 1))
            [ "$_resolve_links" -le 40 ] || return 1
            _resolve_target=$(readlink "$SR_SYSROOT$_resolve_done/$_resolve_part")
            case $_resolve_target in
                /*) _resolve_done= ;;
            esac
            _resolve_rest=$_resolve_target/$_resolve_rest
        elif [ -e "$SR_SYSROOT$_resolve_done/$_resolve_part" ]; then
            _resolve_done=$_resolve_done/$_resolve_part
        else
            return 1
        fi
    done
    printf '%s\n' "${_resolve_done:-/}"
}
