#!/bin/sh
# Look for the AoE target of the shared root and publish its disk as ROOT_DEVICE. There is no login:
# the driver asks all Ethernet segments who is there, and targets answer. Interfaces and their
# MTU come first, for the driver takes the size of its frames from them when it hears an answer.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=hooks/lib/addresses.sh
. "$SR_LIB/addresses.sh"

control=$SR_DEV/etherd

# Take apart netroot=aoe:[NIC,NIC…:]eSHELF.SLOT; without interfaces it is what iPXE's sanboot takes.
read_netroot() {
    _netroot_rest=${1#aoe:}
    if [ "$_netroot_rest" = "$1" ]; then
        sr_fail "netroot=$1: this image attaches its root by AoE" "write netroot=aoe:eSHELF.SLOT, or drop it"
    fi
    target=${_netroot_rest##*:}
    sr_check_aoe "$target" ||
        sr_fail "netroot=$1 is not aoe:[NIC,NIC…:]eSHELF.SLOT" "for example netroot=aoe:eth1:e1.2"
    [ "$target" != "$_netroot_rest" ] || return 0
    interfaces=$(printf '%s' "${_netroot_rest%:*}" | tr , ' ')
    for _netroot_nic in $interfaces; do
        sr_check_interface "$_netroot_nic" || sr_check_dashed_mac "$_netroot_nic" ||
            sr_fail "netroot=$1: '$_netroot_nic' is no interface's name and no MAC address with dashes"
    done
}

disk_there() {
    read -r _disk_state <"$facts/state" || return 1
    case $_disk_state in
        up*) ;;
        *) return 1 ;;
    esac
    read -r _disk_size <"$facts/size" && [ "$_disk_size" != 0 ] && [ -e "$control/$target" ]
} 2>/dev/null

# Ask every 3 seconds: the driver does so by itself only once a minute.
look() {
    disk_there && return
    if [ "$(sr_uptime)" -ge "$next_look" ]; then
        next_look=$(($(sr_uptime) + 3))
        echo >"$control/discover"
    fi
    return 1
}

# Print the AoE disks that answered, one a line: name, state, MAC address, interfaces.
seen() {
    for _seen_path in "$SR_SYS"/block/etherd!e*; do
        [ -d "$_seen_path" ] || continue
        printf '%s %s from %s on %s\n' "${_seen_path##*!}" "$(cat "$_seen_path/state")" \
            "$(cat "$_seen_path/mac")" "$(cat "$_seen_path/netif")"
    done
}

not_there() {
    _not_seen=$(seen)
    _not_linkless=$(for _not_nic in $paths; do sr_linkless "$_not_nic"; done | tr '\n' ' ')
    if [ -n "$_not_seen" ]; then
        printf 'the AoE disks that answered:\n%s\n' "$_not_seen" >&2
        _not_hint="others answered: $(printf '%s' "$_not_seen" | cut -d ' ' -f 1 | tr '\n' ' '); correct target, or does the target let this card's MAC address in?"
    elif [ -n "$_not_linkless" ]; then
        _not_hint="no link on $_not_linkless: is the cable in, is the switch's port up?"
    else
        _not_hint="no AoE target answered at all: is it up, on the same Ethernet segment and VLAN (AoE is not routed) as $(printf '%s' "$paths" | tr '\n' ' ')?"
    fi
    sr_fail "the AoE disk $target was not found within $SR_AOE_TIMEOUT s" "$_not_hint"
}

# Print the bytes of data in a frame of the disk, as the driver said last; nothing if it is forgotten.
frame_size() {
    sr_run dmesg | sed -n "s/.*aoe: $target: setting \([0-9]*\) byte data frames.*/\1/p" | tail -n 1
}

say_frames() {
    _frames=$(frame_size)
    [ -n "$_frames" ] || return 0
    sr_log "$target is on $(cat "$facts/netif") in frames of $_frames bytes"
    [ -n "$SR_AOE_MTU" ] || return 0
    # The driver takes 36 bytes for headers (struct aoe_hdr and aoe_atahdr) and whole sectors.
    [ "$_frames" -ge $(((SR_AOE_MTU - 36) / 512 * 512)) ] ||
        sr_warn "$target takes frames of $_frames bytes where an MTU of $SR_AOE_MTU has room for more: see the target's MTU, and that of every interface it is on"
}

target=$SR_AOE_TARGET
interfaces=$SR_AOE_INTERFACE
[ -z "$SR_AOE_NETROOT" ] || read_netroot "$SR_AOE_NETROOT"
[ -n "$target" ] || sr_fail "no AoE target is named" \
    "give target under [block] in the cluster file, or netroot=aoe:eSHELF.SLOT"
if [ -n "$SR_AOE_MTU" ]; then
    sr_check_mtu "$SR_AOE_MTU" || sr_fail "the mtu of [aoe] is no packet's size: $SR_AOE_MTU"
    [ -n "$interfaces" ] || sr_fail "[aoe] has an mtu but no interface" \
        "name the interfaces, or set mtu under [network]"
fi

names='' # all interfaces
if [ -n "$interfaces" ]; then
    set --
    for name in $interfaces; do
        set -- "$@" "$name"
    done
    sr_raise "$SR_AOE_MTU" "$@"
    paths=$raised
    names=$(printf '%s' "$raised" | tr ' ' ,)
else
    paths=$(cat "$SR_NET_STATE/used" 2>/dev/null) || paths=
fi
facts="$SR_SYS/block/etherd!$target"
sr_hint "is the kmod aoe in the image?"
sr_run modprobe aoe "aoe_deadsecs=$SR_AOE_DEAD_TIMEOUT" ${names:+"aoe_iflist=$names"}
sr_wait_for 10 "the driver's files in $control" test -e "$control/discover"
# Again, for a driver that was loaded before (by an earlier attempt).
printf '%s' "$names" >"$control/interfaces"
next_look=0
sr_wait_for "$SR_AOE_TIMEOUT" "the AoE disk $target" look || not_there
say_frames
sr_put ROOT_DEVICE "$control/$target"
sr_log "the root's disk is $control/$target"
