# shellcheck shell=sh
# What the kernel knows of a Fibre Channel fabric, from sysfs (scsi_transport_fc): its own
# adapters (fc_host), the ports that they see (fc_remote_ports), and the disks behind these.

SR_FC=$SR_SYS/class

# sr_fc_plain NAME: a world wide name as sysfs writes it, 0x and 16 digits.
sr_fc_plain() {
    printf '0x%s\n' "$(printf '%s' "$1" | tr 'A-F' 'a-f' | sed 's/^0x//; s/[:-]//g')"
}

# sr_fc_wwid NAME: a disk's name as sysfs writes it (naa.… or eui.…), from that, 0x…, wwn-0x… or
# what multipath and scsi_id print, a 3 or a 2 in front of the digits. Status 1 when it is none.
sr_fc_wwid() {
    _wwid_text=$(printf '%s' "$1" | tr 'A-F' 'a-f')
    case $_wwid_text in
        naa.* | eui.*) ;;
        wwn-0x*) _wwid_text=naa.${_wwid_text#wwn-0x} ;;
        0x*) _wwid_text=naa.${_wwid_text#0x} ;;
        3*) _wwid_text=naa.${_wwid_text#3} ;;
        2*) _wwid_text=eui.${_wwid_text#2} ;;
        *) return 1 ;;
    esac
    case ${_wwid_text#????} in
        *[!0-9a-f]*) return 1 ;;
        ???????????????? | ????????????????????????????????) printf '%s\n' "$_wwid_text" ;;
        *) return 1 ;;
    esac
}

_sr_fc_read() {
    cat "$1" 2>/dev/null || echo unknown
}

# --- adapters ---------------------------------------------------------------------------------

sr_fc_any_host() {
    for _any_host in "$SR_FC"/fc_host/host*; do
        [ ! -d "$_any_host" ] || return 0
    done
    return 1
}

# Print every adapter, one a line: its name, WWPN, state, and interface when it is FCoE.
sr_fc_hosts() {
    for _hosts_path in "$SR_FC"/fc_host/host*; do
        [ -d "$_hosts_path" ] || continue
        printf '%s %s %s (%s)\n' "${_hosts_path##*/}" "$(_sr_fc_read "$_hosts_path/port_name")" \
            "$(_sr_fc_read "$_hosts_path/port_state")" "$(_sr_fc_read "$_hosts_path/symbolic_name")"
    done
}

# Print the adapters' own WWPNs, one a line: what a zone and a target's access list are about.
sr_fc_own() {
    for _own_path in "$SR_FC"/fc_host/host*; do
        [ ! -d "$_own_path" ] || _sr_fc_read "$_own_path/port_name"
    done
}

sr_fc_online() {
    for _online_path in "$SR_FC"/fc_host/host*; do
        [ "$(_sr_fc_read "$_online_path/port_state")" != Online ] || return 0
    done
    return 1
}

# Say what to do about a machine without any adapter: which cards it has (PCI class 0c04), and
# whether a driver has them.
sr_fc_cards() {
    _cards_found=
    for _cards_path in "$SR_SYS"/bus/pci/devices/*; do
        case $(cat "$_cards_path/class" 2>/dev/null) in
            0x0c04*) ;;
            *) continue ;;
        esac
        _cards_driver='no driver has it'
        [ ! -e "$_cards_path/driver" ] ||
            _cards_driver="driver $(basename "$(readlink "$_cards_path/driver")")"
        _cards_found="$_cards_found ${_cards_path##*/} ($(_sr_fc_read "$_cards_path/vendor"):$(_sr_fc_read "$_cards_path/device"), $_cards_driver)"
    done
    if [ -n "$_cards_found" ]; then
        echo "its adapters:$_cards_found; is the driver in the image, and the firmware that dmesg asks for?"
    else
        echo "it has no PCI card of the class 0c04 (Fibre Channel); for FCoE add the module fcoe to the image"
    fi
}

# Say what to do about links that don't come up; FCoE ports have an Ethernet link beneath.
sr_fc_link_hint() {
    for _link_port in "$SR_FC"/net/*/ctlr_*; do
        [ -d "$_link_port" ] || continue
        _link_nic=${_link_port%/ctlr_*}
        if [ "$(cat "$_link_nic/carrier" 2>/dev/null)" != 1 ]; then
            echo "no link on ${_link_nic##*/}: is the cable in, is the switch's port up?"
        elif [ "$(_sr_fc_read "$_link_port/mode")" = Fabric ]; then
            echo "no FCoE switch answers on ${_link_nic##*/}: is the VLAN that of its FCoE traffic, is FCoE on at its port (and is it a fabric, not vn2vn)?"
        else
            echo "${_link_nic##*/} finds no address for itself (VN2VN): see dmesg"
        fi
        return 0
    done
    echo "is the cable in, is the switch's port on, is the speed fixed at one end?"
}

# --- targets ----------------------------------------------------------------------------------

# sr_fc_is_target RPORT: does it say that it is one, and is it there?
sr_fc_is_target() {
    case $(_sr_fc_read "$1/roles") in
        *'FCP Target'*) [ "$(_sr_fc_read "$1/port_state")" = Online ] ;;
        *) return 1 ;;
    esac
}

# Print every port that the adapters see, one a line: name, WWPN, what it is, state.
sr_fc_rports() {
    for _rports_path in "$SR_FC"/fc_remote_ports/rport-*; do
        [ -d "$_rports_path" ] || continue
        printf '%s %s %s (%s)\n' "${_rports_path##*/}" "$(_sr_fc_read "$_rports_path/port_name")" \
            "$(_sr_fc_read "$_rports_path/roles")" "$(_sr_fc_read "$_rports_path/port_state")"
    done
}

# sr_fc_targets WWPNS: print the ports (rport-H:B-R, one a line) that are targets and have one of
# these names (blanks between), or of all when there are none.
sr_fc_targets() {
    for _targets_path in "$SR_FC"/fc_remote_ports/rport-*; do
        sr_fc_is_target "$_targets_path" || continue
        case " ${1:-$(_sr_fc_read "$_targets_path/port_name")} " in
            *" $(_sr_fc_read "$_targets_path/port_name") "*) printf '%s\n' "${_targets_path##*/}" ;;
        esac
    done
}

# --- disks ------------------------------------------------------------------------------------

# sr_fc_disks RPORTS: print the disks behind these ports, one a line: DISK WWPN UNIT WWID.
sr_fc_disks() {
    for _disks_rport in $1; do
        for _disks_path in "$SR_FC/fc_remote_ports/$_disks_rport/device"/target*/*:*:*:*/block/*; do
            [ -d "$_disks_path" ] || continue
            _disks_unit=${_disks_path%/block/*}
            # Names by T10 (t10.…) hold blanks.
            printf '%s %s %s %s\n' "${_disks_path##*/}" \
                "$(_sr_fc_read "$SR_FC/fc_remote_ports/$_disks_rport/port_name")" \
                "${_disks_unit##*:}" "$(_sr_fc_read "$_disks_unit/wwid" | tr -s ' ' _)"
        done
    done
}

# Paths that take no reads and writes now (ALUA) come after those that do.
_sr_fc_rank() {
    case $(cat "$SR_SYS/class/block/$1/device/access_state" 2>/dev/null) in
        standby | unavailable | offline | transitioning) echo 2 ;;
        active/non-optimized) echo 1 ;;
        *) echo 0 ;;
    esac
}

# sr_fc_paths RPORTS LUN WWID: print those of the disks that have that unit number and that name
# (empty: any), the best path first. Of each port, with neither given, the lowest unit.
sr_fc_paths() {
    sr_fc_disks "$1" | sort -k 2,2 -k 3,3n | {
        _paths_last=
        while read -r _paths_disk _paths_port _paths_unit _paths_name; do
            [ "${2:-$_paths_unit}" = "$_paths_unit" ] || continue
            [ "${3:-$_paths_name}" = "$_paths_name" ] || continue
            # One adapter more is a path more, so a port may stand there several times.
            if [ -z "$2$3" ] && [ "$_paths_last" = "$_paths_port" ] && [ "$_paths_unit" != "$_paths_lowest" ]; then
                continue
            fi
            _paths_last=$_paths_port _paths_lowest=$_paths_unit
            printf '%s %s %s %s %s\n' "$(_sr_fc_rank "$_paths_disk")" \
                "$_paths_disk" "$_paths_port" "$_paths_unit" "$_paths_name"
        done
    } | sort -s -k 1,1n | cut -d ' ' -f 2-
}

# sr_fc_scan RPORTS: have the kernel ask these ports for their units again. H:B-R is not yet the
# target's address: that is H:B:T with the T of scsi_target_id.
sr_fc_scan() {
    for _scan_rport in $1; do
        read -r _scan_id <"$SR_FC/fc_remote_ports/$_scan_rport/scsi_target_id" || continue
        _scan_host=${_scan_rport#rport-}
        _scan_channel=${_scan_host#*:}
        _scan_host=${_scan_host%%:*}
        echo "${_scan_channel%%-*} $_scan_id -" >"$SR_FC/scsi_host/host$_scan_host/scan" || :
    done
}
