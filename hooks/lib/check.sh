# shellcheck shell=sh
# Is a value what its type says? One function a type, status 0 or 1, no output. What reaches them
# comes from the kernel's command line, DHCP or a file, so nothing about it is taken for granted.
# The types are those of builder/srbuild/config/values.py; the values there are normalised already.

# sr_check TYPE VALUE; status 2 for a type that does not exist. $sr_reason may say what is wrong.
sr_check() {
    sr_reason=
    case $1 in
        string | word | int | seconds | bool | endpoint | ip | cidr | mac | iqn | wwn | aoe | path | device | flags)
            "sr_check_$1" "$2"
            ;;
        enum) sr_check_word "$2" ;;
        nic | bond | vlan | bridge | route | ifname | ipform)
            # shellcheck source=hooks/lib/networds.sh
            . "$SR_LIB/networds.sh"
            "sr_check_$1" "$2"
            ;;
        *) return 2 ;;
    esac
}

# Printable ASCII and whatever lies above it (UTF-8), no control character.
sr_check_string() {
    case $1 in
        *[[:cntrl:]]*) return 1 ;;
    esac
}

sr_check_word() {
    case $1 in
        '' | *[!!-~]*) return 1 ;;
    esac
}

# At most 18 digits (64-bit arithmetic) and no leading zero (octal in arithmetic).
sr_check_int() {
    case ${1#-} in
        0) ;;
        '' | *[!0-9]* | 0* | ???????????????????*) return 1 ;;
    esac
}

sr_check_seconds() {
    case $1 in
        -* | ???????????*) return 1 ;;
    esac
    sr_check_int "$1"
}

sr_check_bool() {
    case $1 in
        0 | 1 | true | false | yes | no | on | off) ;;
        *) return 1 ;;
    esac
}

sr_check_ip4() {
    case $1 in
        '' | *[!0-9.]* | .* | *. | *..*) return 1 ;;
    esac
    _ip4_rest=$1.
    _ip4_count=0
    while [ -n "$_ip4_rest" ]; do
        case ${_ip4_rest%%.*} in
            [0-9] | [1-9][0-9] | 1[0-9][0-9] | 2[0-4][0-9] | 25[0-5]) ;;
            *) return 1 ;;
        esac
        _ip4_rest=${_ip4_rest#*.}
        _ip4_count=$((_ip4_count + 1))
    done
    [ "$_ip4_count" -eq 4 ]
}

# RFC 4291 2.2, without a zone.
sr_check_ip6() {
    _ip6_text=$1
    case $_ip6_text in
        *[!0-9A-Fa-f:.]* | *:::* | *::*::* | :[!:]* | *[!:]: | *.*:*) return 1 ;;
        *:*.*)
            sr_check_ip4 "${_ip6_text##*:}" || return 1
            _ip6_text=${_ip6_text%:*}:0:0
            ;;
        *:*) ;;
        *) return 1 ;;
    esac
    _ip6_rest=$_ip6_text:
    _ip6_count=0
    while [ -n "$_ip6_rest" ]; do
        _ip6_part=${_ip6_rest%%:*}
        _ip6_rest=${_ip6_rest#*:}
        case $_ip6_part in
            '') continue ;;
            ?????* | *.*) return 1 ;;
        esac
        _ip6_count=$((_ip6_count + 1))
    done
    case $_ip6_text in
        *::*) [ "$_ip6_count" -le 7 ] ;;
        *) [ "$_ip6_count" -eq 8 ] ;;
    esac
}

sr_check_ip() {
    sr_check_ip4 "$1" || sr_check_ip6 "$1"
}

_sr_check_upto() {
    case $1 in
        -*) return 1 ;;
    esac
    sr_check_int "$1" && [ "$1" -le "$2" ]
}

sr_check_cidr() {
    case $1 in
        */*) ;;
        *) return 1 ;;
    esac
    if sr_check_ip4 "${1%%/*}"; then
        _sr_check_upto "${1#*/}" 32
    else
        sr_check_ip6 "${1%%/*}" && _sr_check_upto "${1#*/}" 128
    fi
}

# A host name (RFC 1123 2.1); one that ends in a number must be an IPv4 address.
sr_check_host() {
    case $1 in
        '' | *[!A-Za-z0-9.-]* | [.-]* | *[.-] | *..* | *.-* | *-.*) return 1 ;;
    esac
    [ "${#1}" -le 253 ] || return 1
    case ${1##*.} in
        *[!0-9]*) ;;
        *) sr_check_ip4 "$1" ;;
    esac
}

sr_check_port() {
    _sr_check_upto "$1" 65535 && [ "$1" -ge 1 ]
}

sr_check_endpoint() {
    case $1 in
        '['*']:'*)
            _endpoint_host=${1#'['}
            sr_check_ip6 "${_endpoint_host%%']'*}" && sr_check_port "${1##*']:'}" &&
                [ "$1" = "[${_endpoint_host%%']'*}]:${1##*']:'}" ]
            ;;
        '['*']')
            _endpoint_host=${1#'['}
            sr_check_ip6 "${_endpoint_host%']'}"
            ;;
        *:*) sr_check_host "${1%%:*}" && sr_check_port "${1#*:}" ;;
        *) sr_check_host "$1" ;;
    esac
}

# Six bytes, colons between: of one card, not of a group (IEEE 802: the first byte's lowest bit).
sr_check_mac() {
    case $1 in
        *[!0-9A-Fa-f:]* | ?[13579BDFbdf]* | 00:00:00:00:00:00) return 1 ;;
        ??:??:??:??:??:??) ;;
        *) return 1 ;;
    esac
    case $1 in
        :* | *: | *::*) return 1 ;;
    esac
    _mac_digits=${1#??:}
    case "${1%%:*}" in
        ??) ;;
        *) return 1 ;;
    esac
    while [ "$_mac_digits" != "${_mac_digits#*:}" ]; do
        case ${_mac_digits%%:*} in
            ??) _mac_digits=${_mac_digits#*:} ;;
            *) return 1 ;;
        esac
    done
    [ "${#_mac_digits}" -eq 2 ]
}

# RFC 7143 4.2.7: iqn.YYYY-MM.reversed-domain[:name], eui.16HEX, naa.16HEX or naa.32HEX.
sr_check_iqn() {
    [ "${#1}" -le 223 ] || return 1
    case $1 in
        *[!a-z0-9.:-]*) return 1 ;;
        iqn.[0-9][0-9][0-9][0-9]-[0-9][0-9].[a-z0-9-]*) ;;
        eui.* | naa.*)
            case ${1#????} in
                *[!0-9a-f]*) return 1 ;;
            esac
            case $1 in
                eui.????????????????) ;;
                naa.????????????????) ;;
                naa.????????????????????????????????) ;;
                *) return 1 ;;
            esac
            ;;
        *) return 1 ;;
    esac
}

# A Fibre Channel name: 8 bytes in hexadecimal, with 0x in front, with colons or dashes between, or
# nothing.
sr_check_wwn() {
    case $1 in
        ??????????????????) _wwn_digits=${1#0[xX]} ;;
        ??:??:??:??:??:??:??:??) _wwn_digits=$(printf '%s' "$1" | tr -d ':') ;;
        ??-??-??-??-??-??-??-??) _wwn_digits=$(printf '%s' "$1" | tr -d '-') ;;
        *) _wwn_digits=$1 ;;
    esac
    case $_wwn_digits in
        *[!0-9A-Fa-f]* | 0000000000000000) return 1 ;;
        ????????????????) ;;
        *) return 1 ;;
    esac
}

# An AoE target, eSHELF.SLOT; all ones are every shelf and every slot (AoEr11 2.2).
sr_check_aoe() {
    case $1 in
        e*.*) ;;
        *) return 1 ;;
    esac
    _aoe_shelf=${1#e}
    _sr_check_upto "${_aoe_shelf%%.*}" 65534 && _sr_check_upto "${1#*.}" 254
}

# Absolute, printable and without `..`.
sr_check_path() {
    case $1 in
        *[[:cntrl:]]* | */../* | */..) return 1 ;;
        /*) ;;
        *) return 1 ;;
    esac
}

# What hooks/lib/disk.sh takes for a disk.
sr_check_device() {
    sr_check_string "$1" || return 1
    case $1 in
        /*) sr_check_path "$1" ;;
        UUID=?* | LABEL=?* | PARTUUID=?* | PARTLABEL=?* | WWN=?* | SERIAL=?* | HCTL=?*) ;;
        by-id/?* | by-path/?*) ;;
        *) return 1 ;;
    esac
}

# Words with commas between.
sr_check_flags() {
    case $1 in
        '') ;;
        ,* | *, | *,,*) return 1 ;;
        *) sr_check_word "$1" ;;
    esac
}

# sr_refused VARIABLE FLAGS: print the first of FLAGS that the option in VARIABLE does not take,
# and why; status 1 when it takes all of them.
sr_refused() {
    [ -f "$SR_HOME/refused" ] || return 1
    while IFS="$SR_TAB" read -r _refused_name _refused_word _refused_why; do
        [ "$_refused_name" = "$1" ] || continue
        case ,$2, in
            *",$_refused_word,"* | *",$_refused_word="*)
                printf '%s: %s\n' "$_refused_word" "$_refused_why"
                return 0
                ;;
        esac
    done <"$SR_HOME/refused"
    return 1
}
