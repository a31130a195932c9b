#!/bin/sh
# Load the drivers of this machine's devices, then find out which node it is: a kernel parameter
# before the MAC addresses of its cards before being the only node there is. The node's own small
# archive is unpacked; the archives of the others stay packed.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"

nodes=$SR_ETC/nodes

macs_present() {
    for _mac_file in "$SR_SYS"/class/net/*/address; do
        case $_mac_file in
            */lo/address) continue ;;
        esac
        [ -r "$_mac_file" ] || continue
        read -r _mac <"$_mac_file" || continue
        ! sr_check_mac "$_mac" || printf '%s\n' "$_mac"
    done
}

# Set $count to how many nodes there are.
count_nodes() {
    count=0
    while read -r _; do
        count=$((count + 1))
    done <"$nodes"
}

# Print the names of the nodes that own a card of this machine, one a line.
nodes_by_mac() {
    _by_macs=$(macs_present)
    while read -r _by_name _ _by_list; do
        for _by_mac in $_by_macs; do
            case ,$_by_list, in
                *",$_by_mac,"*)
                    printf '%s\n' "$_by_name"
                    break
                    ;;
            esac
        done
    done <"$nodes"
}

any_by_mac() {
    [ -n "$(nodes_by_mac)" ]
}

# Print the node that a parameter names; fails when it names none.
node_by_parameter() {
    while read -r _param_name _param_id _; do
        if [ -n "$SR_CORE_NODE" ] && [ "$_param_name" != "$SR_CORE_NODE" ]; then
            continue
        fi
        if [ -n "$SR_CORE_NODEID" ] && [ "$_param_id" != "$SR_CORE_NODEID" ]; then
            continue
        fi
        printf '%s\n' "$_param_name"
        return 0
    done <"$nodes"
    return 1
}

list_nodes() {
    echo "the nodes known (name, id, MAC addresses):"
    sed 's/^/  /' "$nodes"
    echo "the MAC addresses of this machine:"
    macs_present | sed 's/^/  /'
}

# Print the name of the node that this machine is.
choose_node() {
    _choose_mac=$(nodes_by_mac)
    case $_choose_mac in
        *"
"*)
            list_nodes >&2
            sr_fail "the cards of this machine belong to several nodes: $(echo "$_choose_mac" | tr '\n' ' ')" \
                "a card was moved from one machine to another: correct the nodes' mac in the cluster file"
            ;;
    esac
    if [ -n "$SR_CORE_NODE$SR_CORE_NODEID" ]; then
        _choose_name=$(node_by_parameter) || {
            list_nodes >&2
            sr_fail "no node is named or numbered as the kernel parameter says:" \
                "correct the parameter, or add the node to the cluster file and rebuild the site part"
        }
        if [ -n "$_choose_mac" ] && [ "$_choose_mac" != "$_choose_name" ]; then
            list_nodes >&2
            sr_fail "the kernel parameter says that this is $_choose_name, its MAC address that it is $_choose_mac" \
                "two machines that take one name destroy the shared root: drop the parameter or correct the cluster file"
        fi
        printf '%s\n' "$_choose_name"
    elif [ -n "$_choose_mac" ]; then
        printf '%s\n' "$_choose_mac"
    elif [ "$count" -eq 1 ]; then
        read -r _choose_name _ _choose_list <"$nodes"
        [ "$_choose_list" = - ] ||
            sr_warn "no card has a MAC address of $_choose_name ($_choose_list); it is the only node, so this is it"
        printf '%s\n' "$_choose_name"
    else
        list_nodes >&2
        [ -n "$(macs_present)" ] || sr_fail "this machine shows no network card, so its MAC address tells no node" \
            "is the card's driver in the image (--module network)? or boot with rd.srb.node=NAME"
        sr_fail "no node has a MAC address of this machine" \
            "add this machine's MAC address to its [[node]] in the cluster file, or boot with rd.srb.node=NAME"
    fi
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

sr_coldplug
if [ ! -f "$nodes" ]; then
    if [ "$SR_CORE_IDENTITY" = 0 ]; then
        exit 0
    fi
    sr_fail "the image has no list of nodes: its site part is missing" \
        "append the cluster's part, as srbuild build --part site --cluster cluster.toml makes it, to the initrd"
fi

count_nodes
if [ -z "$SR_CORE_NODE$SR_CORE_NODEID" ] && [ "$count" -gt 1 ]; then
    sr_wait_for "$SR_CORE_NIC_TIMEOUT" "a network card with a MAC address of the cluster" any_by_mac || :
fi
name=$(choose_node) || exit 1
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
while read -r known _ macs; do
    [ "$known" != "$name" ] || sr_put NODE_MACS "$macs"
done <"$nodes"
printf '%s\n' "$name" >"$SR_PROC/sys/kernel/hostname"
sr_log "this is the node $name"
