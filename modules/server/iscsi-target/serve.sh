#!/bin/sh
# Offer one disk over iSCSI. The kernel's target is driven through configfs alone
# (Documentation/target in the kernel's tree), so no daemon runs and nothing is stored.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"

config=/sys/kernel/config/target

# Every initiator is let in that knows the CHAP name and secret, or any when there are none:
# the target makes up access lists as initiators come ("demo mode").
set_access() {
    group=$1
    echo 1 >"$group/attrib/generate_node_acls"
    echo 1 >"$group/attrib/cache_dynamic_acls"
    echo 0 >"$group/attrib/demo_mode_write_protect"
    if [ -z "$SR_ISCSI_TARGET_CHAP_USER" ]; then
        echo 0 >"$group/attrib/authentication"
        echo None >"$group/param/AuthMethod"
        return
    fi
    echo 1 >"$group/attrib/authentication"
    echo CHAP >"$group/param/AuthMethod"
    secret='' secret_in=''
    {
        read -r secret || :
        read -r secret_in || :
    } <"$SR_ETC/iscsi-target.secret"
    [ -n "$secret" ] || sr_fail "there is a CHAP name but no secret" \
        "set chap_secret under [iscsi-target] in the cluster file"
    # The kernel would take a line's end for a part of them.
    printf '%s' "$SR_ISCSI_TARGET_CHAP_USER" >"$group/auth/userid"
    printf '%s' "$secret" >"$group/auth/password"
    [ -n "$SR_ISCSI_TARGET_CHAP_USER_IN" ] || return 0
    printf '%s' "$SR_ISCSI_TARGET_CHAP_USER_IN" >"$group/auth/userid_mutual"
    printf '%s' "$secret_in" >"$group/auth/password_mutual"
}

sr_modprobe
[ -d "$config" ] || sr_run mount -t configfs configfs /sys/kernel/config
sr_hint "is the device under [iscsi-target] in the cluster file this machine's disk?"
sr_wait_for 10 "the disk $SR_ISCSI_TARGET_DEVICE" test -b "$SR_ISCSI_TARGET_DEVICE"

backstore=$config/core/iblock_0/disk
mkdir -p "$backstore"
echo "udev_path=$SR_ISCSI_TARGET_DEVICE" >"$backstore/control"
echo 1 >"$backstore/enable"
# A fixed serial number: initiators know the disk again after the server's restart, and by
# whichever target they come. The kernel makes the WWID of its hexadecimal digits.
read -r first _ <<END
$SR_ISCSI_TARGET_TARGET
END
printf '%s' "$first" | md5sum | cut -c 1-32 >"$backstore/wwn/vpd_unit_serial"

mkdir -p "$config/iscsi"
for target in $SR_ISCSI_TARGET_TARGET; do
    group=$config/iscsi/$target/tpgt_1
    mkdir -p "$group/lun/lun_0"
    ln -s "$backstore" "$group/lun/lun_0/disk"
    set_access "$group"
    for portal in $SR_ISCSI_TARGET_PORTAL; do
        mkdir -p "$group/np/$portal"
    done
    echo 1 >"$group/enable"
    sr_log "Serving $SR_ISCSI_TARGET_DEVICE as $target at $SR_ISCSI_TARGET_PORTAL"
done
