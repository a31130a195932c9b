#!/bin/sh
# On a mainline kernel vzctl runs this on the node as vps-netns_dev_add, once for each device of NETDEV,
# of which handover.sh names one more: srbuild. The container's processes, their namespaces and their
# root are made by then, and its init waits until this has ended. So whatever is to be different for it
# is done here, from outside: what was mounted on VE_ROOT before is not seen there, for vzctl binds that
# directory over itself, without what is mounted in it; and what vzctl runs inside has all of the node's
# capabilities, whichever its root is to have. A failure here ends the start (79).
set -eu
PATH=$PATH:${SR_HOME:=/usr/lib/srbuild}/applets # vzctl's own has none of them
export PATH
if [ "${VNAME-}" != srbuild ] && [ -x "$0.vzctl" ]; then
    exec "$0.vzctl"
fi
trap '[ "$?" -eq 0 ] || exit 79' EXIT
# shellcheck source=hooks/lib/base.sh
. "$SR_HOME/lib/base.sh"
# shellcheck source=hooks/lib/hostfiles.sh
. "$SR_LIB/hostfiles.sh"

# A container on a mainline kernel has the node's kernel in its /proc and /sys, as root of the node:
# its settings are made read-only, but for the network's, which are the container's own.
closing=$(cat <<'END'
mount -o bind /proc/sys/net /proc/tty || exit
for path in /proc/sys /proc/sysrq-trigger /proc/irq /proc/bus /sys; do
    [ ! -e "$path" ] || { mount -o bind "$path" "$path" && mount -o remount,bind,ro "$path" "$path"; } || exit
done
mount -o move /proc/tty /proc/sys/net
END
)

# placing: print what mounts the node's own files where the shared root is /.
placing() {
    _placing_tab=$(printf '\t')
    [ -s "$SR_RUN/local/mounts" ] || return 0
    sed "s/'/'\\\\''/g" "$SR_RUN/local/mounts" | while IFS=$_placing_tab read -r _placing_kind _placing_source _placing_target; do
        case $_placing_kind in
            dir | file) printf "mount -o bind '%s' '/%s' || exit\n" "${_placing_source#"$SR_SYSROOT"}" "$_placing_target" ;;
            tmpfs) printf "mount -t tmpfs -o '%s' srbuild '/%s' || exit\n" "$_placing_source" "$_placing_target" ;;
            readonly)
                printf "mount -o bind '/%s' '/%s' || exit\n" "$_placing_target" "$_placing_target"
                printf "mount -o remount,bind,ro '/%s' || exit\n" "$_placing_target"
                ;;
        esac
    done
}

# inside TEXT: have a shell that is the bootstrap's read TEXT in the container's mounts; none of the
# container's programs is used.
inside() {
    sr_run nsenter -t "$init" -m -p sh -c "$1"
}

[ "${VNAME-}" = srbuild ] || sr_fail "the image has no vps-netns_dev_add of vzctl's, which [ve] netif, netdev and ip_address need" \
    "on a mainline kernel a container with its own network is run by --container lxc"
vz=$SR_RUN/openvz
init=$(cat "$SR_ROOT/var/lib/vzctl/vepid/$VEID")
if ! sr_check_int "$init" || [ "$init" -le 1 ]; then
    sr_fail "vzctl did not say which process is the container's init"
fi
sr_run nsenter -t "$init" -u hostname "$(cat "$vz/hostname")" || sr_fail "the container's host name could not be set"
inside "$(placing)" || sr_fail "this node's own files could not be put in place in the container" \
    "what is there on the shared root? see docs/host-files.md"
sr_hostfiles_check "$init"
NAMESERVER=$(cat "$vz/nameserver") SEARCHDOMAIN=$(cat "$vz/searchdomain")
export NAMESERVER SEARCHDOMAIN
inside "$(cat "$SR_HOME/modules/openvz/dists/set_dns.sh")" || sr_fail "the container's name servers could not be set"
inside "$closing" || sr_fail "the kernel's settings could not be closed to the container" "does the shared root have /proc and /sys?"
printf '%s\n' "$init" >"$vz/placed"
