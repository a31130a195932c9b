#!/bin/sh
# Offer one disk on every FCoE port of this machine. The kernel's target is driven through configfs
# alone (Documentation/target in the kernel's tree); it knows no initiator that is not named.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"

config=$SR_SYS/kernel/config/target

# 0x2000525400090001 → 20:00:52:54:00:09:00:01, as tcm_fc wants it.
colons() {
    printf '%s\n' "${1#0x}" | sed 's/../&:/g; s/:$//'
}

# serve WWPN
serve() {
    group=$config/fc/$1/tpgt_1
    mkdir -p "$config/fc" "$config/fc/$1" "$group"
    mkdir -p "$group/lun/lun_0"
    ln -s "$backstore" "$group/lun/lun_0/disk"
    for initiator in $SR_FCOE_TARGET_INITIATOR; do
        mkdir -p "$group/acls/$initiator" "$group/acls/$initiator/lun_$SR_FCOE_TARGET_LUN"
        ln -s "$group/lun/lun_0" "$group/acls/$initiator/lun_$SR_FCOE_TARGET_LUN/mapped"
    done
    sr_log "Serving $SR_FCOE_TARGET_DEVICE on $1 to $SR_FCOE_TARGET_INITIATOR"
}

sr_modprobe
[ -d "$config" ] || sr_run mount -t configfs configfs "$SR_SYS/kernel/config"
sr_hint "is the device under [fcoe-target] in the cluster file this machine's disk?"
sr_wait_for 10 "the disk $SR_FCOE_TARGET_DEVICE" test -b "$SR_FCOE_TARGET_DEVICE"

backstore=$config/core/iblock_0/disk
mkdir -p "$config/core/iblock_0" "$backstore"
echo "udev_path=$SR_FCOE_TARGET_DEVICE" >"$backstore/control"
echo 1 >"$backstore/enable"
# A fixed serial number: initiators know the disk again after the server's restart.
echo fcoe-root >"$backstore/wwn/vpd_unit_serial"

for host in "$SR_SYS"/class/fc_host/host*; do
    read -r name <"$host/port_name"
    serve "$(colons "$name")"
done
