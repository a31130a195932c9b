# shellcheck shell=sh
# What this machine shows of itself: the MAC addresses of its cards, and what its firmware calls it
# (DMI). Firmware can hold anything, so only what is well-formed and no placeholder counts.

# sr_macs: set $macs to the MAC addresses of all cards, lower-case with colons, spaces between.
sr_macs() {
    macs=
    for _macs_file in "$SR_SYS"/class/net/*/address; do
        case $_macs_file in
            */lo/address) continue ;;
        esac
        [ -r "$_macs_file" ] || continue
        read -r _macs_one <"$_macs_file" || continue
        case $_macs_one in
            *[A-F-]*) _macs_one=$(printf '%s' "$_macs_one" | tr 'A-F-' 'a-f:') ;;
        esac
        ! sr_check_mac "$_macs_one" || macs="$macs${macs:+ }$_macs_one"
    done
}

# sr_dmi_file uuid|serial|asset_tag: set $dmi_file to where the kernel shows it. Only root may read
# the first two.
sr_dmi_file() {
    case $1 in
        uuid) dmi_file=$SR_SYS/class/dmi/id/product_uuid ;;
        serial) dmi_file=$SR_SYS/class/dmi/id/product_serial ;;
        asset_tag) dmi_file=$SR_SYS/class/dmi/id/chassis_asset_tag ;;
        *) return 2 ;;
    esac
}

# sr_dmi uuid|serial|asset_tag: set $dmi to it, in lower case; empty and status 1 when the machine
# has none, a placeholder, or what can't be one.
sr_dmi() {
    dmi=
    sr_dmi_file "$1"
    [ -r "$dmi_file" ] || return 1
    read -r dmi <"$dmi_file" || [ -n "$dmi" ] || return 1
    case $dmi in
        *[A-Z]*) dmi=$(printf '%s' "$dmi" | tr '[:upper:]' '[:lower:]') ;;
    esac
    if sr_is_placeholder "$dmi" || { [ "$1" = uuid ] && ! sr_check_uuid "$dmi"; }; then
        dmi=
        return 1
    fi
}

# sr_is_placeholder VALUE: is it, in lower case, no name of one machine? What vendors leave in place
# of a number is the same list as in builder/srbuild/config/machine.py.
sr_is_placeholder() {
    case $1 in
        *[!\ -~]*) return 0 ;;
        'to be filled by o.e.m'* | 'to be set by o.e.m'* | 'default string') return 0 ;;
        'system serial number' | 'system product name' | 'chassis serial number') return 0 ;;
        'asset tag' | asset-1234567890 | 'no asset '*) return 0 ;;
        'not specified' | 'not applicable' | 'not available' | 'not present') return 0 ;;
        none | n/a | na | null | unknown | invalid | empty | oem | o.e.m.) return 0 ;;
        0123456789 | 1234567890 | 123456789 | 12345678) return 0 ;;
        03000200-0400-0500-0006-000700080009 | 00020003-0004-0005-0006-000700080009) return 0 ;;
    esac
    case $1 in
        *[!0\ .f_-]*) ;;
        *) return 0 ;;
    esac
    case $1 in
        *[!x]*) ;;
        *) return 0 ;;
    esac
    [ "${#1}" -gt 64 ]
}

# RFC 4122, in lower case.
sr_check_uuid() {
    case $1 in
        *[!0-9a-f-]* | *--* | ????????*-*-*-*-*-*) return 1 ;;
        ????????-????-????-????-????????????) ;;
        *) return 1 ;;
    esac
}

# sr_swap_uuid UUID: set $uuid to it with the bytes of its first three fields the other way round.
# SMBIOS 2.6 (7.2.1) has them little-endian; before it, and in some tools, they are not.
sr_swap_uuid() {
    uuid=
    for _swap_field in "${1%%-*}" "$(printf '%s' "$1" | cut -d- -f2)" "$(printf '%s' "$1" | cut -d- -f3)"; do
        _swap_turned=
        while [ -n "$_swap_field" ]; do
            _swap_turned=${_swap_field%"${_swap_field#??}"}$_swap_turned
            _swap_field=${_swap_field#??}
        done
        uuid=$uuid$_swap_turned-
    done
    uuid=$uuid${1#????????-????-????-}
}

# sr_machine_seen: print all that the machine shows of itself for people, one a line; what does not
# count is in parentheses.
sr_machine_seen() {
    sr_macs
    for _seen_mac in $macs; do
        printf 'mac %s\n' "$_seen_mac"
    done
    for _seen_key in uuid serial asset_tag; do
        if sr_dmi "$_seen_key"; then
            printf '%s %s\n' "$_seen_key" "$dmi"
        elif [ -s "$dmi_file" ] && [ -r "$dmi_file" ]; then
            _seen_text=$(head -c 64 "$dmi_file" | head -n 1 | sr_printable)
            printf '%s (%s)\n' "$_seen_key" "${_seen_text:+$_seen_text: }of no use"
        fi
    done
}
