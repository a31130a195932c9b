#!/bin/sh
# Make an FCoE port of each interface. Logging in to the fabric, or finding the others, is then the
# kernel's affair, and the module that wants a disk waits for that.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=hooks/lib/addresses.sh
. "$SR_LIB/addresses.sh"

bus=$SR_SYS/bus/fcoe
# Frames that wait: 16 MiB of writes are under way at most (32 commands of 512 KiB), in frames of
# 1 KiB or more.
queue=30000

# Take apart fcoe=NIC:dcb|nodcb:fabric|vn2vn (dracut.cmdline); NIC may be a MAC address.
read_parameter() {
    mode=${1##*:}
    _parameter_rest=${1%:*}
    _parameter_dcb=${_parameter_rest##*:}
    interfaces=${_parameter_rest%:*}
    case $interfaces in
        edd) sr_fail "fcoe=$1: what the firmware booted from (EDD) is not read" "name the interface: fcoe=NIC:nodcb:$mode" ;;
        *:*) interfaces=$(printf '%s' "$interfaces" | tr : -) ;;
    esac
    case $mode:$_parameter_dcb in
        fabric:nodcb | vn2vn:nodcb) ;;
        fabric:dcb | vn2vn:dcb)
            sr_fail "fcoe=$1: DCB negotiated by this host needs lldpad, which is not in the image" \
                "let the card's firmware and the switch do DCBX, and write nodcb"
            ;;
        *) sr_fail "fcoe=$1 is not NIC:nodcb:fabric or NIC:nodcb:vn2vn" ;;
    esac
    sr_check_nic "$interfaces" || sr_fail "fcoe=$1: $sr_reason"
}

# Print the sysfs directory of the FCoE port on the interface $1; status 1 when there is none.
port_of() {
    for _port_path in "$SR_NET/$1"/ctlr_*; do
        [ -d "$_port_path" ] || continue
        printf '%s\n' "$_port_path"
        return 0
    done
    return 1
}

has_port() {
    port_of "$1" >/dev/null
}

# Documentation/ABI/testing/sysfs-bus-fcoe. What an earlier attempt made is taken away first: its
# mode can't be changed.
make_port() {
    echo "$queue" >"$SR_NET/$1/tx_queue_len"
    sr_hint "the kernel refuses FCoE on $1: see dmesg | tail; is it a bond, or part of one?"
    ! has_port "$1" || echo "$1" >"$bus/ctlr_destroy"
    echo "$1" >"$bus/ctlr_create"
    sr_wait_for 10 "the FCoE port on $1" has_port "$1"
    _make_port=$(port_of "$1")
    echo "$mode" >"$_make_port/mode"
    echo 1 >"$_make_port/enabled"
    sr_log "FCoE ($mode) on $1"
}

mode=$SR_FCOE_MODE
interfaces=$SR_FCOE_INTERFACE
[ -z "$SR_FCOE_PARAMETER" ] || read_parameter "$SR_FCOE_PARAMETER"
if [ -z "$interfaces" ]; then
    interfaces=$(sr_get NET_INTERFACE '')
    [ -n "$interfaces" ] || sr_fail "no interface is named for FCoE" \
        "give interface under [fcoe] in the cluster file, or fcoe=NIC:nodcb:$mode"
fi
if [ -n "$SR_FCOE_MTU" ]; then
    sr_check_mtu "$SR_FCOE_MTU" || sr_fail "the mtu of [fcoe] is no packet's size: $SR_FCOE_MTU"
fi
set --
for name in $interfaces; do
    set -- "$@" "$name"
done
sr_raise "$SR_FCOE_MTU" "$@"
sr_hint "is the kmod fcoe in the image?"
sr_modprobe
for name in $raised; do
    make_port "$name"
done
