#!/bin/sh
# Take down every FCoE target and let go of its disk; nothing when there is none.
set -eu

config=/sys/kernel/config/target
for group in "$config"/fc/*:*/tpgt_1; do
    [ -d "$group" ] || continue
    for unit in "$group"/acls/*/lun_* "$group"/lun/lun_*; do
        [ -d "$unit" ] || continue
        find "$unit" -type l -exec rm -f {} +
        rmdir "$unit"
    done
    for initiator in "$group"/acls/*; do
        [ ! -d "$initiator" ] || rmdir "$initiator"
    done
    rmdir "$group" "${group%/*}"
done
for backstore in "$config"/core/iblock_*/*; do
    [ ! -f "$backstore/control" ] || rmdir "$backstore"
done
