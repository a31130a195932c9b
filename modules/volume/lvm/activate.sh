#!/bin/sh
# Find the root's volume group on the disks that were attached, and on no others, and activate the
# root's logical volume. A group that nodes share under lvmlockd is activated later, by its module,
# once the cluster stands.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=hooks/lib/disk.sh
. "$SR_LIB/disk.sh"
# shellcheck source=hooks/lib/lvm.sh
. "$SR_LIB/lvm.sh"

# Print the disks to look at.
disks() {
    sr_get BLOCK_DEVICES "$(sr_get ROOT_DISK '')" | tr ' ' '\n'
    for _disks_spec in $SR_LVM_PV; do
        sr_disk_await "$SR_LVM_TIMEOUT" "$_disks_spec" || exit 1
        printf '%s\n' "$device"
    done
}

# Have LVM look at $found, their partitions, and nothing else.
write_filter() {
    {
        printf 'devices {\n\tglobal_filter = ['
        for _filter_disk in $found; do
            # A regular expression: what is no letter or digit may be any character.
            printf ' "a|^%s(p?[0-9]+|-part[0-9]+)?$|",' "$(printf '%s' "$_filter_disk" | sed 's/[^A-Za-z0-9/_-]/./g')"
        done
        printf ' "r|.*|" ]\n}\n'
    } >"$SR_ROOT/etc/lvm/lvmlocal.conf"
}

group_there() {
    [ -n "$(sr_lvm_lock_type)" ]
}

# Is every disk of the group there?
complete() {
    _complete_missing=$(sr_lvm vgs --noheadings --nolocking --readonly -o vg_missing_pv_count "$vg" 2>/dev/null) || return 1
    [ "$(printf '%s' "$_complete_missing" | tr -d ' \n')" = 0 ]
}

# Say what there is instead.
show() {
    {
        echo "the disks that were looked at:"
        for _show_disk in $found; do
            printf '  %s: %s\n' "$_show_disk" "$(sr_disk_fact "$(basename "$(readlink -f "$_show_disk")")" TYPE)"
        done
        sr_lvm vgs --nolocking --readonly -o vg_name,pv_count,lv_count,vg_missing_pv_count,lock_type 2>&1 || :
    } | sr_printable >&2
}

refuse_encrypted() {
    for _refuse_disk in $found; do
        if [ "$(sr_disk_fact "$(basename "$(readlink -f "$_refuse_disk")")" TYPE)" = crypto_LUKS ]; then
            sr_fail "$_refuse_disk is encrypted (LUKS), which srbuild does not open" "see docs/lvm.md"
        fi
    done
}

sr_lvm_names
sr_modprobe
# Another attempt must not take the logical volume for the disk.
[ -n "$(sr_get ROOT_DISK '')" ] || sr_put ROOT_DISK "$(sr_get ROOT_DEVICE '')"
found=$(disks)
[ -n "$found" ] || sr_fail "no disk was attached to look for the volume group $vg on" "is a block module in the image?"
mkdir -p "$SR_ROOT/etc/lvm" "$SR_ROOT/run/lvm" "$SR_ROOT/run/lock/lvm"
write_filter
if ! sr_wait_for "$SR_LVM_TIMEOUT" "the volume group $vg" group_there; then
    refuse_encrypted
    show
    sr_fail "there is no volume group $vg on $(printf '%s' "$found" | tr '\n' ' ')" \
        "what is there stands above: correct vg under [lvm], or name its further disks with pv"
fi
if ! sr_wait_for "$SR_LVM_TIMEOUT" "all disks of the volume group $vg" complete; then
    show
    sr_fail "disks of the volume group $vg are missing" \
        "attach them too (targets of iSCSI, pv under [lvm]); a group is never activated in parts"
fi
for volume in $volumes; do
    if ! sr_lvm lvs --nolocking --readonly "$vg/$volume" >/dev/null 2>&1; then
        sr_lvm lvs --nolocking --readonly "$vg" 2>&1 | sr_printable >&2 || :
        sr_fail "the volume group $vg has no logical volume $volume" "what it has stands above: correct lv under [lvm]"
    fi
done

lock_type=$(sr_lvm_lock_type)
case $lock_type in
    none) sr_lvm_activate y ;;
    dlm)
        grep -q ' lvmlockd ' "$SR_HOME/runs" || sr_fail "the volume group $vg is shared by nodes (lock type dlm)" \
            "build the image with --module lvmlockd"
        sr_put ROOT_DEVICE "$(sr_lvm_node "${volumes%% *}")"
        sr_log "$vg is shared by nodes: it is activated once the lock manager is up"
        ;;
    *)
        sr_fail "the volume group $vg has locks of the type $lock_type, which srbuild does not bring up" \
            "only dlm: vgchange --lock-type dlm $vg, with every node down"
        ;;
esac
