#!/bin/sh
# The paths to disks, as multipathd has to be told of them where no udev runs: a path counts for
# multipathd once udev's database has a record of it (libudev reads /run/udev/data/bMAJOR:MINOR).
#
# $SR_RUN/paths/wwids holds the WWIDs of the disks to join, one a line.
set -eu

# sr_path_wwid NAME: print the WWID of the disk NAME (sda) as multipathd and udev's ID_SERIAL write
# it: a digit for the kind of name, and the name (scsi_id). Status 1 when it has none.
sr_path_wwid() {
    [ -r "$SR_SYS/class/block/$1/device/wwid" ] || return 1
    # Trailing zeros and runs of blanks are as udev makes them.
    _wwid_text=$(tr -d '\0\n' <"$SR_SYS/class/block/$1/device/wwid" | sed 's/ *$//; s/  */_/g')
    case $_wwid_text in
        *[!!-~]*) return 1 ;;
        naa.?*) printf '3%s\n' "${_wwid_text#naa.}" ;;
        eui.?*) printf '2%s\n' "${_wwid_text#eui.}" ;;
        t10.?*) printf '1%s\n' "${_wwid_text#t10.}" ;;
        *) return 1 ;;
    esac
}

# sr_multipathd WORD…: have multipathd do something; its answer is printed.
sr_multipathd() {
    "$SR_TIMEOUT" -k 5 15 multipathd "$@"
}

# Write udev's record of the disk $1, whose WWID is $2 and number $3.
_sr_path_record() {
    mkdir -p "$SR_ROOT/run/udev/data"
    {
        printf 'I:1000\nE:ID_BUS=scsi\nE:ID_SERIAL=%s\n' "$2"
        case $2 in
            3*) printf 'E:ID_WWN=0x%s\n' "${2#3}" ;;
            *) printf 'E:ID_WWN=%s\n' "$2" ;;
        esac
    } >"$SR_ROOT/run/udev/data/.srbuild"
    mv "$SR_ROOT/run/udev/data/.srbuild" "$SR_ROOT/run/udev/data/b$3"
}

# Have the kernel forget the partitions that it found on the path $1: they are found on the whole
# (sr_path_partitions), and must not be mistaken for disks of their own.
_sr_path_bare() {
    for _bare_part in "$SR_SYS/class/block/$1/$1"*; do
        [ -d "$_bare_part" ] || continue
        sr_run partx -d --nr 1-1024 "$SR_DEV/$1" || sr_warn "the partitions of the path $1 are still there"
        return 0
    done
}

# sr_path_scan: look at the SCSI disks that are here. New paths to disks that are to be joined get
# their record, and multipathd hears of them if it runs; it also hears of those that are gone. What
# is known stands in $paths_known: ` NAME=MAJOR:MINOR …`.
paths_known=${SR_PATHS_KNOWN:- }
sr_path_scan() {
    for _scan_dir in "$SR_SYS"/block/sd*; do
        [ -d "$_scan_dir" ] || continue
        _scan_name=${_scan_dir##*/}
        read -r _scan_number <"$_scan_dir/dev" || continue
        case $paths_known in
            *" $_scan_name=$_scan_number "*) continue ;;
            *" $_scan_name="*) _sr_path_forget "$_scan_name" ;;
        esac
        paths_known="$paths_known$_scan_name=$_scan_number "
        _scan_wwid=$(sr_path_wwid "$_scan_name") || continue
        grep -Fqx -- "$_scan_wwid" "$SR_RUN/paths/wwids" || continue
        _sr_path_record "$_scan_name" "$_scan_wwid" "$_scan_number"
        [ "${paths_tell:-0}" = 1 ] || continue
        sr_log "a new path to $_scan_wwid: $_scan_name, $(sr_multipathd add path "$_scan_name" | sr_printable)"
        _sr_path_bare "$_scan_name"
    done
    for _scan_word in $paths_known; do
        [ -d "$SR_SYS/block/${_scan_word%%=*}" ] || _sr_path_forget "${_scan_word%%=*}"
    done
}

# The path $1 is gone.
_sr_path_forget() {
    _forget_rest=${paths_known#*" $1="}
    _forget_number=${_forget_rest%% *}
    paths_known="${paths_known%%" $1="*} ${_forget_rest#* }"
    [ -e "$SR_ROOT/run/udev/data/b$_forget_number" ] || return 0
    rm -f "$SR_ROOT/run/udev/data/b$_forget_number"
    [ "${paths_tell:-0}" = 0 ] ||
        sr_log "the path $1 is gone: $(sr_multipathd del path "$1" | sr_printable)"
}

# sr_path_maps: print the device nodes of the disks that are joined.
sr_path_maps() {
    for _maps_dir in "$SR_SYS"/block/dm-*; do
        case $(cat "$_maps_dir/dm/uuid" 2>/dev/null) in
            mpath-*) printf '%s/mapper/%s ' "$SR_DEV" "$(cat "$_maps_dir/dm/name")" ;;
        esac
    done | sed 's/ *$//'
}

# sr_path_count: print how many paths are in use.
sr_path_count() {
    sr_multipathd show paths format "%t" 2>/dev/null | grep -c '^active' || :
}

# sr_path_partitions NAME: make devices NAME-partN of the partitions of the disk /dev/mapper/NAME,
# and forget those of its paths.
sr_path_partitions() {
    DM_DISABLE_UDEV=1 sr_run kpartx -a -p -part "$SR_DEV/mapper/$1"
    _parts_path=$(readlink -f "$SR_DEV/mapper/$1")
    for _parts_slave in "$SR_SYS/class/block/${_parts_path##*/}/slaves"/*; do
        [ ! -e "$_parts_slave" ] || _sr_path_bare "${_parts_slave##*/}"
    done
}
