#!/bin/sh
# Take down every iSCSI target and let go of its disk; nothing when there is none.
set -eu

config=/sys/kernel/config/target
for group in "$config"/iscsi/iqn.*/tpgt_1; do
    [ -d "$group" ] || continue
    echo 0 >"$group/enable"
    for portal in "$group"/np/*; do
        [ ! -d "$portal" ] || rmdir "$portal"
    done
    for lun in "$group"/lun/lun_*; do
        [ -d "$lun" ] || continue
        find "$lun" -type l -exec rm -f {} +
        rmdir "$lun"
    done
    rmdir "$group" "${group%/*}"
done
for backstore in "$config"/core/iblock_*/*; do
    [ ! -f "$backstore/control" ] || rmdir "$backstore"
done
