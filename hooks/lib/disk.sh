# shellcheck shell=sh
# Finding a disk by any of its names, without udev: what the disk says of itself stands in sysfs,
# what is written on it is read by blkid. The names that udev would have made links for
# (/dev/disk/by-…) are put together here as its rules do (60-persistent-storage.rules, path_id).
#
# A disk is written as
#   /dev/…                                   its device node, or one of /dev/disk/by-…
#   UUID= LABEL= PARTUUID= PARTLABEL=        what is written on it
#   WWN= SERIAL= HCTL=                       what the disk or the bus says; -partN for a partition
#   by-id/… by-path/…                        the names of udev's links

# sr_disk_await SECONDS DISK: set $device to the device node of DISK, which may still have to
# appear; fails when there is none after SECONDS, and when there are several.
sr_disk_await() {
    _await_spec=$(_sr_disk_spec "$2") || sr_fail "no disk can be written as $2" \
        "write /dev/…, UUID=…, LABEL=…, PARTUUID=…, WWN=…, SERIAL=…, HCTL=H:C:T:L, by-id/… or by-path/…"
    # What was read in an earlier attempt may be changed since.
    rm -rf "$SR_RUN/disks"
    mkdir -p "$SR_RUN/disks"
    if ! sr_wait_for "$1" "the disk $2" _sr_disk_seen "$_await_spec"; then
        sr_disk_list >&2
        sr_fail "no disk is $2 (waited $1 s)" \
            "the disks that are here stand above: correct the name, or is the disk's driver not in the image?"
    fi
    device=$_seen_device
    [ "$device" = "$2" ] || sr_log "the disk $2 is $device"
}

# _sr_disk_spec TEXT: print how TEXT names a disk, in one of the forms /…, ID=, PATH=, UUID=, …
_sr_disk_spec() {
    _spec_name=${1#/dev/disk/}
    # As udev writes them in its links' names: \x20 for a space.
    case $_spec_name in
        by-uuid/?*) printf 'UUID=%s\n' "${_spec_name#*/}" ;;
        by-partuuid/?*) printf 'PARTUUID=%s\n' "${_spec_name#*/}" ;;
        by-label/?*) printf 'LABEL=%b\n' "$(_sr_disk_octal "${_spec_name#*/}")" ;;
        by-partlabel/?*) printf 'PARTLABEL=%b\n' "$(_sr_disk_octal "${_spec_name#*/}")" ;;
        by-id/?*) printf 'ID=%s\n' "${_spec_name#*/}" ;;
        by-path/?*) printf 'PATH=%s\n' "${_spec_name#*/}" ;;
        /?* | UUID=?* | PARTUUID=?* | LABEL=?* | PARTLABEL=?* | WWN=?* | SERIAL=?* | HCTL=?*)
            printf '%s\n' "$_spec_name"
            ;;
        *) return 1 ;;
    esac
}

# \x20 → \0040: what every printf understands.
_sr_disk_octal() {
    printf '%s\n' "$1" | awk '
        function digit(char) { return index("0123456789abcdef", tolower(char)) - 1 }
        {
            while (match($0, /\\x[0-9a-fA-F][0-9a-fA-F]/)) {
                value = 16 * digit(substr($0, RSTART + 2, 1)) + digit(substr($0, RSTART + 3, 1))
                printf "%s\\0%03o", substr($0, 1, RSTART - 1), value
                $0 = substr($0, RSTART + 4)
            }
            print
        }'
}

# Set $_seen_device to the one device that the spec $1 means; status 1 when there is none yet.
_sr_disk_seen() {
    case $1 in
        /*)
            _seen_device=$1
            [ -e "$1" ]
            return
            ;;
    esac
    _seen_found=$(_sr_disk_matches "$1")
    [ -n "$_seen_found" ] || return 1
    case $_seen_found in
        *"
"*)
            _sr_disk_refuse "$1" "$_seen_found"
            # Two ways to one disk, and multipath to join them: one is as good as the other.
            _seen_found=${_seen_found%%"
"*}
            ;;
    esac
    _seen_device=$SR_DEV/$_seen_found
    [ -e "$_seen_device" ]
}

# Several disks ($2, one a line) are what the spec $1 says. Comes back only when they are paths to
# one disk and the image has multipath.
_sr_disk_refuse() {
    _refuse_names=$(printf '%s\n' "$2" | sed "s|^|$SR_DEV/|" | tr '\n' ' ')
    _refuse_wwids=$(printf '%s\n' "$2" | while IFS= read -r _refuse_name; do
        _refuse_wwid=$(_sr_disk_wwid "$(sr_disk_whole "$_refuse_name")")
        printf '%s\n' "${_refuse_wwid:-none of $_refuse_name}"
    done | sort -u)
    case $_refuse_wwids in
        *"
"* | 'none of '*)
            sr_disk_list >&2
            sr_fail "several disks are $1: $_refuse_names" \
                "name the right one by what it has alone: its UUID, WWN or SERIAL (see above)"
            ;;
    esac
    ! grep -q ' multipath ' "$SR_HOME/runs" || return 0
    sr_fail "several paths lead to the disk $1: $_refuse_names" \
        "build the image with --module multipath, or name one path (by-path/…, HCTL=)"
}

# Print the names of the devices that the spec $1 means, one a line.
_sr_disk_matches() {
    _match_kind=${1%%=*}
    _match_value=${1#*=}
    case $_match_kind in
        UUID | LABEL | PARTUUID | PARTLABEL) _sr_disk_by_content ;;
        *) _sr_disk_by_name ;;
    esac
}

# Print the names of all block devices that may hold a root.
_sr_disk_names() {
    for _names_path in "$SR_SYS"/class/block/*; do
        case ${_names_path##*/} in
            '*' | loop* | ram* | zram* | fd* | sr* | mtdblock*) continue ;;
        esac
        read -r _names_size <"$_names_path/size" || continue
        [ "$_names_size" != 0 ] || continue
        printf '%s\n' "${_names_path##*/}"
    done 2>/dev/null
}

_sr_disk_by_content() {
    case $_match_kind in
        UUID | PARTUUID) _match_value=$(_sr_disk_bare "$_match_value") ;;
    esac
    _sr_disk_names | while IFS= read -r _content_name; do
        # What multipath, LVM or md made of it is the disk to use.
        for _content_holder in "$SR_SYS/class/block/$_content_name/holders"/*; do
            [ ! -e "$_content_holder" ] || continue 2
        done
        _content_found=$(sr_disk_fact "$_content_name" "$_match_kind")
        case $_match_kind in
            UUID | PARTUUID) _content_found=$(_sr_disk_bare "$_content_found") ;;
        esac
        [ "$_content_found" != "$_match_value" ] || printf '%s\n' "$_content_name"
    done
}

# UUIDs are the same in upper case and without hyphens (as OCFS2's tools write them).
_sr_disk_bare() {
    printf '%s\n' "$1" | tr '[:upper:]' '[:lower:]' | tr -d '-'
}

# sr_disk_fact NAME KEY: print what blkid finds on the device NAME: its TYPE, UUID, LABEL,
# PART_ENTRY_UUID (also called PARTUUID), PART_ENTRY_NAME (PARTLABEL).
sr_disk_fact() {
    _fact_seq=0
    for _fact_file in "$SR_SYS/class/block/$1/diskseq" "$SR_SYS/class/block/$1/../diskseq"; do
        [ ! -r "$_fact_file" ] || read -r _fact_seq <"$_fact_file"
    done
    _fact_file=$SR_RUN/disks/$1.$_fact_seq
    if [ ! -s "$_fact_file" ]; then
        mkdir -p "$SR_RUN/disks"
        # Status 2: there is nothing on it; 8: several things that contradict each other.
        "$SR_TIMEOUT" -k 5 20 blkid -p -o export "$SR_DEV/$1" >"$_fact_file" 2>/dev/null || return 0
    fi
    case $2 in
        PARTUUID) set -- "$1" PART_ENTRY_UUID ;;
        PARTLABEL) set -- "$1" PART_ENTRY_NAME ;;
    esac
    # blkid writes a backslash before what a shell would not take as it is.
    sed -n "s/^$2=//p" "$_fact_file" | sed 's/\\\(.\)/\1/g'
}

_sr_disk_by_name() {
    _by_part=
    case $_match_value in
        *-part[0-9] | *-part[0-9][0-9] | *-part[0-9][0-9][0-9])
            _by_part=${_match_value##*-part}
            _match_value=${_match_value%-part*}
            ;;
    esac
    [ "$_match_kind" != WWN ] || _match_value=$(printf '%s\n' "$_match_value" | _sr_disk_wwn)
    _sr_disk_names | while IFS= read -r _by_disk; do
        [ ! -e "$SR_SYS/class/block/$_by_disk/partition" ] || continue
        "_sr_disk_$_match_kind" "$_by_disk" | grep -Fqx -e "$_match_value" || continue
        if [ -z "$_by_part" ]; then
            printf '%s\n' "$_by_disk"
            continue
        fi
        for _by_number in "$SR_SYS/class/block/$_by_disk"/*/partition; do
            [ "$(cat "$_by_number" 2>/dev/null)" = "$_by_part" ] || continue
            _by_number=${_by_number%/partition}
            printf '%s\n' "${_by_number##*/}"
        done
    done
}

# sr_disk_whole NAME: print the disk that the partition NAME is a part of, or NAME itself.
sr_disk_whole() {
    if [ -e "$SR_SYS/class/block/$1/partition" ]; then
        _whole_path=$(readlink -f "$SR_SYS/class/block/$1/..")
        printf '%s\n' "${_whole_path##*/}"
    else
        printf '%s\n' "$1"
    fi
}

# World wide names as text on stdin → lower-case, without what says of which kind they are; the
# 3 before a 16-byte one is multipath's.
_sr_disk_wwn() {
    tr '[:upper:]' '[:lower:]' | sed 's/^wwn-//; s/^naa\.//; s/^eui\.//; s/^uuid\.//; s/^0x//; s/^3\([0-9a-f]\{32\}\)$/\1/; s/^3\([0-9a-f]\{16\}\)$/\1/'
}

# Print the world wide name of the disk $1 as the kernel has it: naa.… eui.… t10.… uuid.…
_sr_disk_wwid() {
    for _wwid_file in device/wwid wwid; do
        [ ! -r "$SR_SYS/class/block/$1/$_wwid_file" ] || _sr_disk_text "$SR_SYS/class/block/$1/$_wwid_file"
    done
}

# Print a file's text without zeros, as udev writes it: a run of spaces is one _, those at the ends go.
_sr_disk_text() {
    tr -d '\0\n' <"$1" 2>/dev/null | sed 's/^ *//; s/ *$//; s/  */_/g'
    echo
}

_sr_disk_WWN() {
    _sr_disk_wwid "$1" | _sr_disk_wwn
}

_sr_disk_SERIAL() {
    if [ -r "$SR_SYS/class/block/$1/device/vpd_pg80" ]; then
        # SPC-4 7.8.15: the serial number follows four bytes.
        tail -c +5 "$SR_SYS/class/block/$1/device/vpd_pg80" >"$SR_RUN/disks/serial"
        _sr_disk_text "$SR_RUN/disks/serial"
    fi
    for _serial_file in serial device/serial; do
        [ ! -r "$SR_SYS/class/block/$1/$_serial_file" ] || _sr_disk_text "$SR_SYS/class/block/$1/$_serial_file"
    done
}

_sr_disk_HCTL() {
    _hctl_path=$(readlink -f "$SR_SYS/class/block/$1/device")
    printf '%s\n' "${_hctl_path##*/}"
}

# Print the names that the disk $1 has in /dev/disk/by-id.
_sr_disk_ID() {
    _id_serial=$(_sr_disk_SERIAL "$1" | head -n 1)
    for _id_wwid in $(_sr_disk_wwid "$1"); do
        case $1:$_id_wwid in
            nvme*) printf 'nvme-%s\n' "$_id_wwid" ;;
            *:naa.*) printf 'wwn-0x%s\nscsi-3%s\n' "${_id_wwid#naa.}" "${_id_wwid#naa.}" ;;
            *:eui.*) printf 'wwn-0x%s\nscsi-2%s\n' "${_id_wwid#eui.}" "${_id_wwid#eui.}" ;;
            *:t10.ATA_*) printf 'ata-%s\nscsi-1%s\n' "${_id_wwid#t10.ATA_}" "${_id_wwid#t10.}" ;;
            *:t10.*) printf 'scsi-1%s\n' "${_id_wwid#t10.}" ;;
        esac
    done
    case $1 in
        dm-*)
            printf 'dm-name-%s\n' "$(cat "$SR_SYS/class/block/$1/dm/name")"
            printf 'dm-uuid-%s\n' "$(cat "$SR_SYS/class/block/$1/dm/uuid")"
            return
            ;;
        vd*) printf 'virtio-%s\n' "$_id_serial" ;;
        nvme*) printf 'nvme-%s_%s\n' "$(_sr_disk_text "$SR_SYS/class/block/$1/device/model")" "$_id_serial" ;;
        sd*)
            printf 'scsi-S%s_%s_%s\n' "$(_sr_disk_text "$SR_SYS/class/block/$1/device/vendor")" \
                "$(_sr_disk_text "$SR_SYS/class/block/$1/device/model")" "$_id_serial"
            ;;
    esac
    # An ATA disk with a WWN says its model and serial number on the same page.
    if [ -r "$SR_SYS/class/block/$1/device/vpd_pg83" ]; then
        LC_ALL=C tr -c '!-~ ' '\n' <"$SR_SYS/class/block/$1/device/vpd_pg83" |
            sed -n 's/.*ATA   *//; s/ *$//; s/  */_/gp' | sed 's/^/ata-/'
    fi
}

# Print the names that the disk $1 has in /dev/disk/by-path.
_sr_disk_PATH() {
    _path_full=$(readlink -f "$SR_SYS/class/block/$1")
    _path_pci=$(printf '%s\n' "$_path_full" | tr '/' '\n' |
        grep -E '^[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$' | tail -n 1)
    [ -n "$_path_pci" ] || return 0
    _path_unit=${_path_full%/block/*}
    _path_unit=${_path_unit##*/}
    case $_path_full in
        */nvme/nvme*) printf 'pci-%s-nvme-%s\n' "$_path_pci" "$(cat "$SR_SYS/class/block/$1/nsid")" ;;
        */ata[0-9]*/host[0-9]*/*)
            _path_port=${_path_full#*/ata}
            _path_port=ata${_path_port%%/*}
            printf 'pci-%s-ata-%s\n' "$_path_pci" "$(cat "$SR_SYS/class/ata_port/$_path_port/port_no")"
            ;;
        */rport-*/target*)
            _path_port=rport-${_path_full##*/rport-}
            printf 'pci-%s-fc-%s-lun-%s\n' "$_path_pci" \
                "$(cat "$SR_SYS/class/fc_remote_ports/${_path_port%%/*}/port_name")" "${_path_unit##*:}"
            ;;
        */end_device-*/target*)
            _path_port=end_device-${_path_full##*/end_device-}
            printf 'pci-%s-sas-%s-lun-%s\n' "$_path_pci" \
                "$(cat "$SR_SYS/class/sas_device/${_path_port%%/*}/sas_address")" "${_path_unit##*:}"
            ;;
        */host[0-9]*/target*) _sr_disk_scsi_path ;;
        */virtio[0-9]*/block/*) printf 'pci-%s\nvirtio-pci-%s\n' "$_path_pci" "$_path_pci" ;;
    esac
}

# The host's number is counted from the lowest one of the same card.
_sr_disk_scsi_path() {
    _scsi_parent=${_path_full%/host[0-9]*/target*}
    _scsi_low=$(for _scsi_host in "$_scsi_parent"/host[0-9]*; do
        echo "${_scsi_host##*/host}"
    done | sort -n | head -n 1)
    _scsi_unit=$((${_path_unit%%:*} - _scsi_low)):${_path_unit#*:}
    printf 'pci-%s-scsi-%s\n' "$_path_pci" "$_scsi_unit"
    case $_path_full in
        */virtio[0-9]*/host*) printf 'virtio-pci-%s-scsi-%s\n' "$_path_pci" "$_scsi_unit" ;;
    esac
}

# Print what disks there are and what they can be named by, one a line, for people.
sr_disk_list() {
    echo "the disks of this machine:"
    _sr_disk_names | while IFS= read -r _list_name; do
        printf '  %s/%s' "$SR_DEV" "$_list_name"
        if [ ! -e "$SR_SYS/class/block/$_list_name/partition" ]; then
            _list_value=$(_sr_disk_wwid "$_list_name" | head -n 1)
            [ -z "$_list_value" ] || printf ' WWN=%s' "$_list_value"
            _list_value=$(_sr_disk_SERIAL "$_list_name" | head -n 1)
            [ -z "$_list_value" ] || printf ' SERIAL=%s' "$_list_value"
        fi
        for _list_kind in TYPE LABEL UUID PARTUUID; do
            _list_value=$(sr_disk_fact "$_list_name" "$_list_kind")
            [ -z "$_list_value" ] || printf ' %s=%s' "$_list_kind" "$_list_value"
        done
        echo
    done | sr_printable
}
