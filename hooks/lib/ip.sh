# shellcheck shell=sh
# The ip= parameter in the kernel's and dracut's forms, taken apart and checked:
#
#   ip=CLIENT:[SERVER]:[GATEWAY]:[MASK]:[HOST]:[DEVICE]:[AUTOCONF][:DNS0[:DNS1[:NTP]]]
#   ip=CLIENT:[SERVER]:[GATEWAY]:[MASK]:[HOST]:[DEVICE]:[AUTOCONF][:MTU[:MAC]]      (dracut)
#   ip=METHOD      ip=DEVICE:METHOD[:MTU[:MAC]]      IPv6 addresses stand in brackets
#
# DEVICE: a name, or a card's MAC address with dashes. METHOD: dhcp (on, any), single-dhcp, dhcp6,
# auto6 (also auto), either6, link6, ibft, off, none (up without an address).

# A name that the kernel would give an interface (dev_valid_name), without what a path or a
# pattern would take for its own.
sr_check_interface() {
    case $1 in
        '' | .* | -* | *[!A-Za-z0-9._-]* | ????????????????*) return 1 ;;
    esac
}

# A card by its MAC address, with dashes since colons separate fields.
sr_check_dashed_mac() {
    case $1 in
        *:*) return 1 ;;
        ??-??-??-??-??-??) sr_check_mac "$(printf '%s' "$1" | tr - :)" ;;
        *) return 1 ;;
    esac
}

sr_check_nic() {
    sr_check_interface "$1" || sr_check_dashed_mac "$1" && return
    sr_reason="'$1' is no interface's name and no MAC address with dashes"
    [ -z "$sr_reason" ]
}

# Cut the next field off $_ip_rest into $_ip_field; brackets hold an IPv6 address together.
_sr_ip_next() {
    case $_ip_rest in
        '['*']'*)
            _ip_field=${_ip_rest%%']'*}
            _ip_field=${_ip_field#'['}
            _ip_rest=${_ip_rest#*']'}
            case $_ip_rest in
                :*) _ip_rest=${_ip_rest#:} ;;
                *)
                    # What follows the bracket belongs to no address.
                    _ip_field=$_ip_field${_ip_rest:+]$_ip_rest}
                    _ip_rest=
                    ;;
            esac
            ;;
        *:*)
            _ip_field=${_ip_rest%%:*}
            _ip_rest=${_ip_rest#*:}
            ;;
        *)
            _ip_field=$_ip_rest
            _ip_rest=
            ;;
    esac
}

# Print the prefix length of a netmask, or of what is one already; status 1 when it is neither.
sr_mask_to_prefix() {
    case $1 in
        *.*) sr_check_ip4 "$1" || return 1 ;;
        *)
            sr_check_cidr "::/$1" || return 1
            printf '%s\n' "$1"
            return
            ;;
    esac
    _mask_rest=$1.
    _mask_bits=0
    _mask_open=1
    while [ -n "$_mask_rest" ]; do
        case ${_mask_rest%%.*} in
            255) _mask_part=8 ;;
            254) _mask_part=7 ;;
            252) _mask_part=6 ;;
            248) _mask_part=5 ;;
            240) _mask_part=4 ;;
            224) _mask_part=3 ;;
            192) _mask_part=2 ;;
            128) _mask_part=1 ;;
            0) _mask_part=0 ;;
            *) return 1 ;;
        esac
        # Once a bit is clear, all that follow must be.
        [ "$_mask_open" = 1 ] || [ "$_mask_part" = 0 ] || return 1
        [ "$_mask_part" = 8 ] || _mask_open=0
        _mask_bits=$((_mask_bits + _mask_part))
        _mask_rest=${_mask_rest#*.}
    done
    printf '%s\n' "$_mask_bits"
}

_sr_ip_wrong() {
    ip_error=$1
    return 1
}

# Are the two addresses (or networks) of the same version of IP?
sr_same_family() {
    case $1 in
        *:*) case $2 in *:*) ;; *) return 1 ;; esac ;;
        *) case $2 in *:*) return 1 ;; esac ;;
    esac
}

# Set ip_method from an AUTOCONF word.
_sr_ip_method() {
    case $1 in
        dhcp | on | any) ip_method=dhcp ;;
        single-dhcp | dhcp6 | auto6 | either6 | link6 | ibft | off) ip_method=$1 ;;
        auto) ip_method=auto6 ;;
        none | '') ip_method=none ;;
        bootp | rarp | both) _sr_ip_wrong "the method '$1' is a protocol that nobody serves any more: use dhcp" ;;
        *) _sr_ip_wrong "there is no method '$1' (dhcp, dhcp6, auto6, either6, link6, ibft, none, off)" ;;
    esac
}

# [:MTU[:MAC]], the rest of $_ip_rest.
_sr_ip_mtu_mac() {
    _sr_ip_next
    ip_mtu=$_ip_field
    if [ -n "$ip_mtu" ]; then
        _sr_check_upto "$ip_mtu" 65535 && [ "$ip_mtu" -ge 68 ] || _sr_ip_wrong "'$ip_mtu' is no MTU" || return 1
    fi
    ip_mac=$_ip_rest
    [ -z "$ip_mac" ] || sr_check_mac "$ip_mac" || _sr_ip_wrong "'$ip_mac' is no MAC address"
}

# sr_ip_parse TEXT: set ip_method (static, none or a METHOD's first name), ip_address, ip_server (the
# boot server, if it is an address), ip_gateway, ip_prefix, ip_device, ip_dns (a list), ip_mtu and
# ip_mac, or ip_error and status 1.
sr_ip_parse() {
    ip_method='' ip_address='' ip_server='' ip_gateway='' ip_prefix='' ip_device='' ip_dns='' ip_mtu='' ip_mac=''
    ip_error=''
    _ip_rest=$1
    case $1 in
        *:*) ;;
        *)
            _sr_ip_method "$1" || return 1
            [ "$ip_method" != none ] || ip_method=off
            return 0
            ;;
    esac
    _sr_ip_next
    if [ -n "$_ip_field" ] && ! sr_check_ip "$_ip_field"; then
        _sr_ip_device_form || :
    else
        _sr_ip_full_form || :
    fi
    [ -z "$ip_error" ]
}

# DEVICE:METHOD[:MTU[:MAC]], with DEVICE in $_ip_field.
_sr_ip_device_form() {
    sr_check_nic "$_ip_field" || _sr_ip_wrong "'$_ip_field' is no address and no interface" || return 1
    ip_device=$_ip_field
    _sr_ip_next
    _sr_ip_method "$_ip_field" || return 1
    case $ip_method in
        ibft | single-dhcp) _sr_ip_wrong "$ip_method is for no single interface: write ip=$ip_method" || return 1 ;;
    esac
    _sr_ip_mtu_mac
}

# CLIENT:…, with CLIENT in $_ip_field.
_sr_ip_full_form() {
    ip_address=$_ip_field
    _sr_ip_next
    ip_server=$_ip_field
    sr_check_ip "$ip_server" || ip_server=
    _sr_ip_next
    ip_gateway=$_ip_field
    [ -z "$ip_gateway" ] || sr_check_ip "$ip_gateway" || _sr_ip_wrong "'$ip_gateway' is no gateway" || return 1
    _sr_ip_next
    _ip_mask=$_ip_field
    _sr_ip_next # the host's name: the cluster file's is used
    _sr_ip_next
    ip_device=$_ip_field
    [ -z "$ip_device" ] || sr_check_nic "$ip_device" ||
        _sr_ip_wrong "'$ip_device' is no interface" || return 1
    _sr_ip_next
    _sr_ip_method "$_ip_field" || return 1
    case $ip_method in
        off | none)
            [ -n "$ip_address" ] || _sr_ip_wrong "there is neither an address nor dhcp in it" || return 1
            ip_method=static
            _sr_ip_set_prefix || return 1
            [ -z "$ip_gateway" ] || sr_same_family "$ip_address" "$ip_gateway" ||
                _sr_ip_wrong "the gateway is of another IP version than the address" || return 1
            ;;
    esac
    _sr_ip_tail
}

# Without a mask the kernel takes the address's class; nobody means that any more.
_sr_ip_set_prefix() {
    [ -n "$_ip_mask" ] || _sr_ip_wrong "the netmask is missing" || return 1
    if ! ip_prefix=$(sr_mask_to_prefix "$_ip_mask") || ! sr_check_cidr "$ip_address/$ip_prefix"; then
        _sr_ip_wrong "'$_ip_mask' is no netmask"
    fi
}

# [:DNS0[:DNS1[:NTP]]] or [:MTU[:MAC]].
_sr_ip_tail() {
    case ${_ip_rest%%:*} in
        '' | *[!0-9]*) ;;
        *)
            _sr_ip_mtu_mac
            return
            ;;
    esac
    for _ip_count in 1 2; do
        _sr_ip_next
        [ -n "$_ip_field" ] || continue
        sr_check_ip "$_ip_field" || _sr_ip_wrong "'$_ip_field' is no name server" || return 1
        ip_dns="${ip_dns:+$ip_dns }$_ip_field"
    done
    # The kernel's third is a time server, which nobody here asks.
    _sr_ip_next
    [ -z "$_ip_field" ] || sr_check_ip "$_ip_field" || _sr_ip_wrong "'$_ip_field' is no time server" || return 1
    [ -z "$_ip_rest" ] || _sr_ip_wrong "it has more fields than there are"
}
