#!/bin/sh
# Fence agent for IPMI over the network. Keys: ip (host or host:port), username, password, and
# lanplus=0 (IPMI 1.5), cipher, privlvl; action off, reboot, on, status, monitor. A node counts as
# off only when its controller says so; status is 0 for on, 2 for off.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"

action=off ip='' username='' password='' lanplus=1 cipher='' privlvl=''
while IFS= read -r line; do
    value=${line#*=}
    case $line in
        action=*) action=$value ;;
        ip=*) ip=$value ;;
        username=*) username=$value ;;
        password=*) password=$value ;;
        lanplus=*) lanplus=$value ;;
        cipher=*) cipher=$value ;;
        privlvl=*) privlvl=$value ;;
    esac
done
[ -n "$ip" ] || {
    echo "no address of the node's management controller"
    exit 1
}

# host:port, [v6]:port, or a v6 address alone.
host=$ip port=623
case $ip in
    \[*\]:*) host=${ip%%]*} host=${host#?} port=${ip##*:} ;;
    *:*:*) ;;
    *:*) host=${ip%:*} port=${ip#*:} ;;
esac

# ask COMMAND…: one command to the controller. The password goes by the environment.
ask() {
    set -- -E chassis power "$@"
    [ -z "$cipher" ] || set -- -C "$cipher" "$@"
    [ -z "$privlvl" ] || set -- -L "$privlvl" "$@"
    [ -z "$username" ] || set -- -U "$username" "$@"
    if [ "$lanplus" = 0 ]; then
        set -- -I lan "$@"
    else
        set -- -I lanplus "$@"
    fi
    IPMI_PASSWORD=$password "$SR_TIMEOUT" -k 2 15 ipmitool -H "$host" -p "$port" -R 2 -N 2 "$@" 2>&1
}

# is STATE: does the controller say that the power is on or off?
is() {
    said=$(ask status) || return 1
    case $said in
        *'Power is '"$1"*) ;;
        *) return 1 ;;
    esac
}

# turn STATE: order it until the controller says that it is so. One order may be lost: it is given
# again, as giving it twice does no harm.
turned() {
    is "$1" && return
    ask "$1" >/dev/null || :
    is "$1"
}

case $action in
    status | monitor)
        is on && exit 0
        is off && exit 2
        echo "${said:-the controller said nothing}" | tail -n 1
        exit 1
        ;;
    on | off) ;;
    reboot) ;;
    *)
        echo "no such action: $action"
        exit 1
        ;;
esac
wanted=$action
[ "$action" != reboot ] || wanted=off
if ! sr_wait_for 50 "the power to be $wanted" turned "$wanted" 2>/dev/null; then
    echo "the power is not $wanted: ${said:-no answer}" | tail -n 1
    exit 1
fi
# It was off, which is all that matters; a node that stays so is only missed.
if [ "$action" = reboot ] && ! ask on >/dev/null; then
    echo "it is off, but could not be turned on again"
fi
