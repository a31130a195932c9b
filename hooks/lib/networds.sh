# shellcheck shell=sh
# The words that describe a network, taken apart and checked: dracut's, so that the kernel's
# command line and the cluster file speak one language.
#
#   nic     NAME or MAC with dashes (52-54-00-00-00-01)
#   bond    NAME[:NIC,NIC…[:OPTION=VALUE,…[:MTU]]]
#   vlan    NAME:NIC, the number at the end of NAME (bond0.20, vlan20, vlan0020)
#   bridge  NAME:NIC,NIC…
#   route   DESTINATION:[GATEWAY][:NIC], IPv6 in brackets
#   ifname  NAME:MAC
#   ipform  see ip.sh
#
# The same rules at build time: builder/srbuild/config/networks.py. What is wrong stands in
# $sr_reason.
# shellcheck source=hooks/lib/ip.sh
. "$SR_LIB/ip.sh"

# _sr_wrong REASON: status 1, as there always is one.
_sr_wrong() {
    sr_reason=$1
    [ -z "$sr_reason" ]
}

# What a kernel name of a new interface can be: no MAC address, no name of the kernel's own.
_sr_check_new_name() {
    case $1 in
        lo | all | default) _sr_wrong "'$1' is a name of the kernel's own" ;;
        *) sr_check_interface "$1" || _sr_wrong "'$1' is no interface's name" ;;
    esac
}

# Set $_nics_found to the words of the list $1 (commas between), each a card and there once.
_sr_nics() {
    _nics_found=
    _nics_rest=$1,
    while [ -n "$_nics_rest" ]; do
        _nics_one=${_nics_rest%%,*}
        _nics_rest=${_nics_rest#*,}
        sr_check_nic "$_nics_one" || return 1
        case " $_nics_found " in
            *" $_nics_one "*)
                _sr_wrong "'$_nics_one' stands there twice"
                return
                ;;
        esac
        _nics_found="${_nics_found:+$_nics_found }$_nics_one"
    done
}

sr_check_mtu() {
    _sr_check_upto "$1" 65535 && [ "$1" -ge 68 ]
}

# --- bond -------------------------------------------------------------------------------------

# A list of IPv4 addresses with semicolons between.
_sr_check_targets() {
    _targets_rest=$1\;
    while [ -n "$_targets_rest" ]; do
        sr_check_ip4 "${_targets_rest%%;*}" || return 1
        _targets_rest=${_targets_rest#*;}
    done
}

# _sr_bond_value OPTION VALUE: Documentation/networking/bonding.rst of Linux.
_sr_bond_value() {
    case $1=$2 in
        mode=balance-rr | mode=active-backup | mode=balance-xor | mode=broadcast | mode=802.3ad) ;;
        mode=balance-tlb | mode=balance-alb | mode=[0-6]) ;;
        lacp_rate=slow | lacp_rate=fast | lacp_rate=[01]) ;;
        ad_select=stable | ad_select=bandwidth | ad_select=count) ;;
        fail_over_mac=none | fail_over_mac=active | fail_over_mac=follow) ;;
        primary_reselect=always | primary_reselect=better | primary_reselect=failure) ;;
        arp_validate=none | arp_validate=active | arp_validate=backup | arp_validate=all) ;;
        arp_validate=filter | arp_validate=filter_active | arp_validate=filter_backup) ;;
        arp_all_targets=any | arp_all_targets=all) ;;
        xmit_hash_policy=layer2 | xmit_hash_policy=layer2+3 | xmit_hash_policy=layer3+4) ;;
        xmit_hash_policy=encap2+3 | xmit_hash_policy=encap3+4 | xmit_hash_policy=vlan+srcmac) ;;
        use_carrier=[01] | all_slaves_active=[01] | tlb_dynamic_lb=[01]) ;;
        miimon=* | updelay=* | downdelay=* | arp_interval=* | peer_notif_delay=* | min_links=*)
            _sr_check_upto "$2" 2147483647
            ;;
        num_grat_arp=* | num_unsol_na=* | resend_igmp=*) _sr_check_upto "$2" 255 ;;
        packets_per_slave=* | ad_actor_sys_prio=*) _sr_check_upto "$2" 65535 ;;
        ad_user_port_key=*) _sr_check_upto "$2" 1023 ;;
        arp_ip_target=*) _sr_check_targets "$2" ;;
        primary=*)
            case " $bond_slaves " in
                *" $2 "*) ;;
                *) return 1 ;;
            esac
            ;;
        *) return 1 ;;
    esac
}

_sr_bond_has() {
    case " $bond_options" in
        *" $1="*) ;;
        *) return 1 ;;
    esac
}

_sr_bond_options() {
    [ -n "$1" ] || return 0
    _bond_rest=$1,
    while [ -n "$_bond_rest" ]; do
        _bond_one=${_bond_rest%%,*}
        _bond_rest=${_bond_rest#*,}
        _sr_bond_has "${_bond_one%%=*}" && {
            _sr_wrong "'${_bond_one%%=*}' is given twice"
            return
        }
        # A word without '=' is no option: its name would be its value.
        case $_bond_one in
            *=*) _sr_bond_value "${_bond_one%%=*}" "${_bond_one#*=}" ;;
            *) false ;;
        esac || _sr_wrong "'$_bond_one' is no option of a bond, or no value of it" || return
        bond_options="${bond_options:+$bond_options }$_bond_one"
    done
}

# What the kernel refuses together.
_sr_bond_sense() {
    case " $bond_options " in
        *' mode=802.3ad '* | *' mode=4 '*) ;;
        *)
            ! _sr_bond_has lacp_rate || _sr_wrong "lacp_rate is for mode=802.3ad only" || return
            ;;
    esac
    _sr_bond_has arp_interval || return 0
    ! _sr_bond_has miimon || _sr_wrong "miimon and arp_interval exclude each other" || return
    case " $bond_options " in
        *' mode=802.3ad '* | *' mode=4 '* | *' mode=balance-tlb '* | *' mode=5 '* | *' mode=balance-alb '* | *' mode=6 '*)
            _sr_wrong "arp_interval does not work in this mode: use miimon"
            return
            ;;
    esac
    _sr_bond_has arp_ip_target || _sr_wrong "arp_interval needs arp_ip_target"
}

# sr_bond_parse TEXT: set bond_name, bond_slaves and bond_options (lists) and bond_mtu, or
# sr_reason and status 1.
sr_bond_parse() {
    bond_options=
    _bond_text=$1:::
    bond_name=${_bond_text%%:*}
    _bond_text=${_bond_text#*:}
    _bond_list=${_bond_text%%:*}
    _bond_text=${_bond_text#*:}
    _bond_words=${_bond_text%%:*}
    bond_mtu=${_bond_text#*:}
    bond_mtu=${bond_mtu%"${bond_mtu##*[!:]}"}
    case $1 in
        *:*:*:*:*)
            _sr_wrong "it has more than four fields"
            return
            ;;
    esac
    _sr_check_new_name "$bond_name" || return 1
    _sr_nics "${_bond_list:-eth0,eth1}" || return 1
    bond_slaves=$_nics_found
    _sr_bond_options "$_bond_words" || return 1
    _sr_bond_sense || return 1
    [ -z "$bond_mtu" ] || sr_check_mtu "$bond_mtu" || _sr_wrong "'$bond_mtu' is no MTU"
}

sr_check_bond() {
    sr_bond_parse "$1"
}

# --- vlan, bridge, route, name ----------------------------------------------------------------

# sr_vlan_parse TEXT: set vlan_name, vlan_id and vlan_lower, or sr_reason and status 1.
sr_vlan_parse() {
    vlan_name=${1%%:*}
    vlan_lower=${1#*:}
    case $1 in
        *:*) ;;
        *)
            _sr_wrong "it is not NAME:INTERFACE"
            return
            ;;
    esac
    _sr_check_new_name "$vlan_name" || return 1
    sr_check_nic "$vlan_lower" || return 1
    case $vlan_name in
        *.*) vlan_id=${vlan_name##*.} ;;
        vlan*) vlan_id=${vlan_name#vlan} ;;
        *) vlan_id= ;;
    esac
    # vlan0020 and eth0.0020 are dracut's padded forms.
    case $vlan_id in
        0*[!0]*) vlan_id=${vlan_id#"${vlan_id%%[!0]*}"} ;;
    esac
    _sr_check_upto "$vlan_id" 4094 && [ "$vlan_id" -ge 1 ] ||
        _sr_wrong "'$vlan_name' does not end in a VLAN's number from 1 to 4094 (eth0.20, vlan20)" || return
    [ "$vlan_name" != "$vlan_lower" ] || _sr_wrong "'$vlan_name' can't lie on itself"
}

sr_check_vlan() {
    sr_vlan_parse "$1"
}

# sr_bridge_parse TEXT: set bridge_name and bridge_ports (a list), or sr_reason and status 1.
sr_bridge_parse() {
    bridge_name=${1%%:*}
    _sr_check_new_name "$bridge_name" || return 1
    case $1 in
        *:*) _sr_nics "${1#*:}" || return 1 ;;
        *) _sr_nics eth0 ;;
    esac
    bridge_ports=$_nics_found
    case " $bridge_ports " in
        *" $bridge_name "*) _sr_wrong "'$bridge_name' can't be a port of itself" ;;
    esac
}

sr_check_bridge() {
    sr_bridge_parse "$1"
}

# Print NETWORK/PREFIX for a destination with a prefix length or a netmask.
_sr_destination() {
    case $1 in
        */*.*) printf '%s/%s\n' "${1%%/*}" "$(sr_mask_to_prefix "${1#*/}")" ;;
        *) printf '%s\n' "$1" ;;
    esac
}

# sr_route_parse TEXT: set route_to (a CIDR), route_via and route_dev, or sr_reason and status 1.
sr_route_parse() {
    _ip_rest=$1
    _sr_ip_next
    route_to=$(_sr_destination "$_ip_field")
    _sr_ip_next
    route_via=$_ip_field
    route_dev=$_ip_rest
    sr_check_cidr "$route_to" || _sr_wrong "'$route_to' is no network such as 10.1.0.0/16" || return
    [ -n "$route_via$route_dev" ] || _sr_wrong "it names neither a gateway nor an interface" || return
    [ -z "$route_dev" ] || sr_check_nic "$route_dev" || return 1
    [ -n "$route_via" ] || return 0
    sr_check_ip "$route_via" || _sr_wrong "'$route_via' is no gateway" || return
    sr_same_family "$route_via" "$route_to" || _sr_wrong "the gateway is of another IP version"
}

sr_check_route() {
    sr_route_parse "$1"
}

# sr_ifname_parse TEXT: set ifname_name and ifname_mac (with colons), or sr_reason and status 1.
sr_ifname_parse() {
    case $1 in
        *:*) ;;
        *)
            _sr_wrong "it is not NAME:MAC"
            return
            ;;
    esac
    ifname_name=${1%%:*}
    ifname_mac=$(printf '%s' "${1#*:}" | tr 'A-F-' 'a-f:')
    _sr_check_new_name "$ifname_name" || return 1
    sr_check_mac "$ifname_mac" || _sr_wrong "'${1#*:}' is no MAC address"
}

sr_check_ifname() {
    sr_ifname_parse "$1"
}

sr_check_ipform() {
    sr_ip_parse "$1" || _sr_wrong "$ip_error"
}
