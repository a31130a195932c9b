#!/bin/sh
# Keep the system above from taking down the interfaces that the root hangs on: its network
# managers are told so, in /run alone, for the root is shared. What is below them (a bond's
# slaves, a bridge's ports, what a VLAN lies on) is kept as well.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=hooks/lib/addresses.sh
. "$SR_LIB/addresses.sh"

run=$SR_ROOT/run
kept=

# keep NAME: add it and all below it to $kept, once.
keep() {
    case " $kept " in
        *" $1 "*) return 0 ;;
    esac
    [ -d "$SR_NET/$1" ] || return 0
    kept="${kept:+$kept }$1"
    for _keep_lower in "$SR_NET/$1"/lower_*; do
        [ -e "$_keep_lower" ] || continue
        keep "${_keep_lower##*/lower_}"
    done
}

is_released() {
    for _released_nic in $SR_NETWORK_RELEASE; do
        sr_has_nic "$_released_nic" || continue
        [ "$nic" != "$1" ] || return 0
    done
    return 1
}

# systemd: networkd leaves it alone; udevd neither renames it nor gives it another MAC address.
tell_networkd() {
    mkdir -p "$run/systemd/network"
    printf '%s\n' "# The shared root hangs on this interface." "[Match]" "Name=$1" "[Link]" "Unmanaged=yes" \
        >"$run/systemd/network/00-srbuild-$1.network"
    printf '%s\n' "# The shared root hangs on this interface." "[Match]" "OriginalName=$1" "[Link]" "Name=$1" \
        >"$run/systemd/network/00-srbuild-$1.link"
}

# networkd-wait-online waits two minutes for an interface of networkd's own; when there can be
# none, the network is online as it is.
tell_wait_online() {
    for _online_card in $(sr_cards); do
        case " $kept " in
            *" $_online_card "*) ;;
            *) return 0 ;;
        esac
    done
    drop_in systemd-networkd-wait-online "ExecStart=" "ExecStart=/bin/true"
}

# drop_in SERVICE LINE…
drop_in() {
    _drop_dir=$run/systemd/system/$1.service.d
    shift
    mkdir -p "$_drop_dir"
    printf '%s\n' "# The shared root hangs on: $kept" "[Service]" "$@" >"$_drop_dir/00-srbuild.conf"
}

tell_network_manager() {
    mkdir -p "$run/NetworkManager/conf.d"
    {
        echo "# The shared root hangs on these interfaces."
        printf '[keyfile]\nunmanaged-devices+='
        for _nm_nic in $kept; do
            printf 'interface-name:=%s;' "$_nm_nic"
        done
        echo
        for _nm_nic in $kept; do
            printf '[device-srbuild-%s]\nmatch-device=interface-name:=%s\nmanaged=0\n' "$_nm_nic" "$_nm_nic"
        done
    } >"$run/NetworkManager/conf.d/00-srbuild.conf"
}

# Debian's ifupdown: they count as up, and neither the service nor a hotplug event touches them.
tell_ifupdown() {
    mkdir -p "$run/network" "$run/systemd/system"
    touch "$run/network/ifstate"
    _ifup_excludes=
    for _ifup_nic in $kept; do
        grep -Fqx "$_ifup_nic=$_ifup_nic" "$run/network/ifstate" ||
            printf '%s=%s\n' "$_ifup_nic" "$_ifup_nic" >>"$run/network/ifstate"
        ln -sf /dev/null "$run/systemd/system/ifup@$_ifup_nic.service"
        _ifup_excludes="$_ifup_excludes --exclude=$_ifup_nic"
    done
    drop_in networking \
        "ExecStart=" "ExecStart=/sbin/ifup -a --read-environment$_ifup_excludes" \
        "ExecStop=" "ExecStop=/sbin/ifdown -a --read-environment --exclude=lo$_ifup_excludes"
}

[ -f "$SR_NET_STATE/used" ] || exit 0
while read -r name; do
    is_released "$name" || keep "$name"
done <"$SR_NET_STATE/used"
[ -n "$kept" ] || exit 0
for name in $kept; do
    tell_networkd "$name"
done
tell_wait_online
tell_network_manager
tell_ifupdown
# Its being there says that systemd runs (sd_booted(3)): sysvinit's scripts would call it.
sr_root_has_systemd || rm -rf "$run/systemd/system"
sr_log "kept from the system above: $kept"
