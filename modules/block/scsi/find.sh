#!/bin/sh
# Find the root's disk on the machine's own buses and publish it as ROOT_DEVICE. A disk that
# somebody has reserved (SPC-4 5.13, persistent reservations) is left alone, or taken when told so.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=hooks/lib/disk.sh
. "$SR_LIB/disk.sh"

# Exit codes of sg_persist (sg3_utils(8)): the disk does not know the command.
unknown=9
illegal=5

persist() {
    "$SR_TIMEOUT" -k 5 20 sg_persist -n "$@" "$disk"
}

# Print `KEY TYPE` of the reservation that $disk has, nothing when there is none.
reservation() {
    _reservation_status=0
    _reservation_text=$(persist -i -r 2>&1) || _reservation_status=$?
    case $_reservation_status in
        0) ;;
        "$unknown" | "$illegal")
            sr_log "$disk knows no reservations"
            return 0
            ;;
        *)
            printf '%s\n' "$_reservation_text" | sr_printable >&2
            sr_fail "$disk could not be asked for its reservation (sg_persist status $_reservation_status)" \
                "is the disk healthy? see what sg_persist says above"
            ;;
    esac
    printf '%s\n' "$_reservation_text" | awk '
        /^ *Key *= */ { sub(/^ *Key *= */, ""); key = $1 }
        /type: / { sub(/.*type: /, ""); if (key != "") print key " " $0 }'
}

# Print the keys that are registered at $disk, one a line.
keys() {
    persist -i -k 2>/dev/null | awk '$1 ~ /^0x[0-9a-fA-F]+$/ { print $1 }' | sort -u
}

# Is this machine registered at $disk with the key $1? Registering a key in its own place changes
# nothing, and the disk refuses it from whoever has not registered it.
is_ours() {
    persist -o --register --param-rk="$1" --param-sark="$1" >/dev/null 2>&1
}

# May this machine write although $1, a key, holds a reservation of the type $2?
admitted() {
    case $2 in
        *registrants*)
            for _admitted_key in $(keys); do
                is_ours "$_admitted_key" && return 0
            done
            return 1
            ;;
        *) is_ours "$1" ;;
    esac
}

clear_reservation() {
    _clear_key=$(printf '0x73726200%08x' "$(sr_get NODE_ID 0)")
    sr_warn "removing the reservation of $1 and all keys from $disk, as reservation = clear says: $(keys | tr '\n' ' ')"
    if ! persist -o --register-ignore --param-sark="$_clear_key" >&2 ||
        ! persist -o --clear --param-rk="$_clear_key" >&2; then
        sr_fail "the reservation of $1 on $disk could not be removed" "see what sg_persist says above"
    fi
    _clear_left=$(reservation)
    [ -z "$_clear_left" ] || sr_fail "$disk is reserved again, by $_clear_left" \
        "another machine uses it: it must not be cleared"
}

check_reservation() {
    _held=$(reservation)
    [ -n "$_held" ] || return 0
    _held_key=${_held%% *}
    _held_type=${_held#* }
    if admitted "$_held_key" "$_held_type"; then
        sr_log "$disk is reserved ($_held_type), and this node is admitted"
    elif [ "$SR_SCSI_RESERVATION" = clear ]; then
        clear_reservation "$_held_key"
    else
        sr_fail "$disk is reserved by the key $_held_key ($_held_type); this node is not admitted" \
            "if its holder is alive, let it go there: sg_persist -o --release --param-rk=$_held_key --prout-type=N DISK; if it is gone for good, boot once with rd.srb.scsi.reservation=clear"
    fi
}

if [ -z "$SR_SCSI_DEVICE" ]; then
    sr_fail "no disk is named" "give device under [block] in the cluster file, or root=LABEL=…"
fi
sr_modprobe
sr_disk_await "$SR_SCSI_TIMEOUT" "$SR_SCSI_DEVICE"
device=$(readlink -f "$device")
disk=$SR_DEV/$(sr_disk_whole "${device##*/}")
if [ -d "$SR_SYS/class/block/${disk##*/}/device/scsi_disk" ]; then
    check_reservation
fi
sr_put ROOT_DEVICE "$device"
sr_log "the root's disk is $device"
