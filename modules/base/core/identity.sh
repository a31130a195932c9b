#!/bin/sh
# Load the drivers of this machine's devices, then find out which node it is. A kernel parameter,
# the MAC addresses of its cards, and what its firmware calls it each may name a node; all that do
# must name the same. Nothing that comes over the network has a say. The node's own small archive is
# unpacked; the archives of the others stay packed.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=hooks/lib/machine.sh
. "$SR_LIB/machine.sh"

nodes=$SR_ETC/nodes
machines=$SR_ETC/machines
nl='
'
# Who is named by what, a line each: NODE WORDS….
by_parameter='' by_mac='' by_dmi=''

# Set $count to how many nodes there are.
count_nodes() {
    count=0
    while read -r _; do
        count=$((count + 1))
    done <"$nodes"
}

# Set $by_mac; status 1 when no node owns a card of this machine.
ask_cards() {
    by_mac=
    sr_macs
    while read -r _cards_name _ _cards_list; do
        for _cards_mac in $macs; do
            case ,$_cards_list, in
                *",$_cards_mac,"*) by_mac=$by_mac"$_cards_name the MAC address $_cards_mac$nl" ;;
            esac
        done
    done <"$nodes"
    [ -n "$by_mac" ]
}

# Print the last of the kernel parameters named $2 and $3, with its value $1.
parameter_word() {
    _word=$2=$1
    while IFS= read -r _word_line; do
        case $_word_line in
            "$2=$1" | "$3=$1") _word=$_word_line ;;
        esac
    done <"$SR_RUN/cmdline"
    printf '%s\n' "$_word"
}

# Set $by_parameter; fails when a parameter names no node.
ask_parameters() {
    _param_named='' _param_numbered=''
    while read -r _param_name _param_id _; do
        [ "$_param_name" != "$SR_CORE_NODE" ] || _param_named=$_param_name
        [ "$_param_id" != "$SR_CORE_NODEID" ] || _param_numbered=$_param_name
    done <"$nodes"
    if [ -n "$SR_CORE_NODE" ]; then
        _param_word=$(parameter_word "$SR_CORE_NODE" rd.srb.node nodename)
        [ -n "$_param_named" ] || unknown_parameter
        by_parameter=$by_parameter"$_param_named the kernel parameter $_param_word$nl"
    fi
    if [ -n "$SR_CORE_NODEID" ]; then
        _param_word=$(parameter_word "$SR_CORE_NODEID" nodeid nodeid)
        [ -n "$_param_numbered" ] || unknown_parameter
        by_parameter=$by_parameter"$_param_numbered the kernel parameter $_param_word$nl"
    fi
}

unknown_parameter() {
    list_nodes >&2
    sr_fail "there is no node as the kernel parameter $_param_word says" \
        "correct the parameter, or add the node to the cluster file and rebuild the site part"
}

# Set $by_dmi, and $dmi_uuid, $dmi_swapped, $dmi_serial and $dmi_asset_tag to what the firmware says.
ask_firmware() {
    dmi_uuid='' dmi_swapped='' dmi_serial='' dmi_asset_tag=''
    [ -s "$machines" ] || return 0
    if sr_dmi uuid; then
        dmi_uuid=$dmi
        sr_swap_uuid "$dmi"
        dmi_swapped=$uuid
    fi
    ! sr_dmi serial || dmi_serial=$dmi
    ! sr_dmi asset_tag || dmi_asset_tag=$dmi
    while read -r _dmi_name _dmi_key _dmi_value; do
        ! shows "$_dmi_key" "$_dmi_value" || by_dmi=$by_dmi"$_dmi_name the $_dmi_key $_dmi_value$nl"
    done <"$machines"
}

# Does the firmware show this VALUE for KEY? A UUID may have its bytes in either order: the cluster
# file has no two that could be taken for each other.
shows() {
    case $1 in
        uuid) [ "$2" = "$dmi_uuid" ] || [ "$2" = "$dmi_swapped" ] ;;
        serial) [ "$2" = "$dmi_serial" ] ;;
        asset_tag) [ "$2" = "$dmi_asset_tag" ] ;;
        *) return 1 ;;
    esac
}

# Set $seen to what the firmware shows for KEY.
seen_for() {
    case $1 in
        uuid) seen=$dmi_uuid ;;
        serial) seen=$dmi_serial ;;
        asset_tag) seen=$dmi_asset_tag ;;
        *) seen= ;;
    esac
}

list_nodes() {
    echo "the nodes known (name, id, MAC addresses):"
    sed 's/^/  /' "$nodes"
    if [ -s "$machines" ]; then
        echo "and what their firmware should say:"
        sed 's/^/  /' "$machines"
    fi
    echo "this machine:"
    sr_machine_seen | sed 's/^/  /'
}

# Set $name to the node that all of $1 name, empty when there is none; fails when they don't agree.
agree() {
    name='' _agree_why='' _agree_differ=''
    while read -r _agree_name _agree_words; do
        [ -n "$_agree_name" ] || continue
        [ -z "$name" ] || [ "$name" = "$_agree_name" ] || _agree_differ=1
        name=$_agree_name
        _agree_why="$_agree_why${_agree_why:+, }$_agree_words says $_agree_name"
    done <<END
$1
END
    [ -n "$_agree_differ" ] || return 0
    list_nodes >&2
    sr_fail "this machine would be several nodes: $_agree_why" \
        "two machines that take one name destroy the shared root: drop the parameter, or correct the nodes' mac, uuid, serial and asset_tag in the cluster file after a card or a board was moved"
}

# The node's card is here: but is this its machine? Where an operator said so, or where there is no
# other node, it is told and no more.
check_firmware() {
    [ -s "$machines" ] || return 0
    while read -r _check_name _check_key _check_value; do
        [ "$_check_name" = "$name" ] || continue
        seen_for "$_check_key"
        [ -n "$seen" ] || continue
        ! shows "$_check_key" "$_check_value" || continue
        _check_what="the cluster file has the $_check_key $_check_value for $name, this machine has $seen"
        if [ -n "$by_parameter" ] || [ "$count" -eq 1 ]; then
            sr_warn "$_check_what"
            continue
        fi
        list_nodes >&2
        sr_fail "${by_mac:+the MAC address says that this is $name, but }$_check_what" \
            "was a card moved here from $name? then remove it; was the board of $name replaced? then correct $_check_key in the cluster file, or boot with rd.srb.node=$name"
    done <"$machines"
}

# Set $spares to the nodes that no machine can be told by, a few of them by name: they are there to
# be named by a parameter.
find_spares() {
    spares='' _spares_more=0
    _spares_not=$(cut -d ' ' -f 1 "$machines" 2>/dev/null | tr '\n' ' ') || :
    while read -r _spares_name _ _spares_list; do
        [ "$_spares_list" = - ] || continue
        case " $_spares_not" in
            *" $_spares_name "*) continue ;;
        esac
        case $spares in
            *,*,*) _spares_more=$((_spares_more + 1)) ;;
            *) spares="$spares${spares:+, }$_spares_name" ;;
        esac
    done <"$nodes"
    [ "$_spares_more" -eq 0 ] || spares="$spares and $_spares_more more"
}

# Nothing names a node: there may be one only.
take_the_only_one() {
    if [ "$count" -eq 1 ]; then
        read -r name _ _only_list <"$nodes"
        [ "$_only_list" = - ] ||
            sr_warn "no card has a MAC address of $name ($_only_list); it is the only node, so this is it"
        return 0
    fi
    list_nodes >&2
    [ -n "$macs" ] || sr_fail "this machine shows no network card, so its MAC address tells no node" \
        "is the card's driver in the image (--module network)? or boot with rd.srb.node=NAME"
    find_spares
    sr_fail "this machine is none of the nodes: none has a MAC address, uuid, serial or asset_tag of it" \
        "add one of them, as listed above, to its [[node]] in the cluster file, or boot with rd.srb.node=NAME${spares:+; spare, each for one machine: $spares}"
}

# Unpack the archive of the node $1 at /, after a look at the names in it.
unpack() {
    _unpack_archive=$SR_ETC/nodes.d/$1.cpio
    [ -f "$_unpack_archive" ] || sr_fail "the image has no archive of the node $1" \
        "rebuild the site part with srbuild build --part site --cluster cluster.toml"
    cpio -t <"$_unpack_archive" >"$SR_RUN/names" 2>/dev/null ||
        sr_fail "the archive of the node $1 is damaged" "rebuild the site part"
    while IFS= read -r _unpack_name; do
        case /$_unpack_name/ in
            //* | */../* | *[[:cntrl:]]*) sr_fail "the archive of the node $1 holds the name $_unpack_name" ;;
        esac
    done <"$SR_RUN/names"
    (
        cd "$SR_ROOT/"
        cpio -idmu <"$_unpack_archive" 2>/dev/null
    ) || sr_fail "the archive of the node $1 could not be unpacked"
}

# Is a card of $name to be waited for? With several nodes and no name yet: any card will do.
has_cards() {
    [ -n "$name" ] || return 0
    while read -r _has_name _ _has_list; do
        [ "$_has_name" != "$name" ] || [ "$_has_list" = - ] || return 0
    done <"$nodes"
    return 1
}

sr_coldplug
if [ ! -f "$nodes" ]; then
    if [ "$SR_CORE_IDENTITY" = 0 ]; then
        exit 0
    fi
    sr_fail "the image has no list of nodes: its site part is missing" \
        "append the cluster's part, as srbuild build --part site --cluster cluster.toml makes it, to the initrd"
fi

count_nodes
ask_parameters
ask_firmware
agree "$by_parameter$by_dmi"
if [ "$count" -gt 1 ] && has_cards; then
    sr_wait_for "$SR_CORE_NIC_TIMEOUT" "a network card with a MAC address of the cluster" ask_cards || :
else
    ask_cards || :
fi
agree "$by_parameter$by_dmi$by_mac"
[ -n "$name" ] || take_the_only_one
check_firmware
case $name in
    '' | .* | *[!A-Za-z0-9._-]*) sr_fail "no node can be named '$name'" ;;
esac
unpack "$name"
while read -r key value; do
    case $key in
        cluster) sr_put CLUSTER_NAME "$value" ;;
        name) sr_put NODE_NAME "$value" ;;
        id) sr_put NODE_ID "$value" ;;
        address) [ "$value" = - ] || sr_put NODE_ADDRESS "$value" ;;
    esac
done <"$SR_ETC/identity"
while read -r known _ own; do
    [ "$known" != "$name" ] || sr_put NODE_MACS "$own"
done <"$nodes"
# Anybody can say so, and two machines may be told the same: the network asks for the other one.
if [ -n "$by_parameter" ] && [ -z "$by_dmi$by_mac" ]; then
    sr_put NODE_UNPROVEN 1
fi
printf '%s\n' "$name" >"$SR_PROC/sys/kernel/hostname"
read -r _ how <<END
$by_parameter$by_dmi$by_mac- it is the only one
END
sr_log "this is the node $name: $how"
