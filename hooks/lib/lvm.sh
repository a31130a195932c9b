# shellcheck shell=sh
# The root's logical volume. LVM is run without udev: its commands make the device nodes.
export DM_DISABLE_UDEV=1
export LVM_SUPPRESS_FD_WARNINGS=1

# sr_lvm COMMAND…: run one of LVM's commands, bounded; its words go where the caller's do.
sr_lvm() {
    "$SR_TIMEOUT" -k 5 "${SR_LVM_LIMIT:-30}" lvm "$@"
}

# Set $vg and $volumes (NAME …; the first has the root) of the options. VG/NAME names both.
sr_lvm_names() {
    vg=$SR_LVM_VG volumes=
    for _names_word in $SR_LVM_LV; do
        _names_vg=$vg
        case $_names_word in
            */*) _names_vg=${_names_word%%/*} ;;
        esac
        if [ -n "$vg" ] && [ "$_names_vg" != "$vg" ]; then
            sr_fail "the logical volumes are in two volume groups, $vg and $_names_vg" \
                "the root's alone is activated: name its volumes only"
        fi
        vg=$_names_vg volumes="$volumes ${_names_word##*/}"
    done
    volumes=${volumes# }
    [ -n "$vg" ] || sr_fail "no volume group is named" "give vg under [lvm] in the cluster file, or rd.lvm.lv=VG/LV"
    for _names_word in $vg $volumes; do
        case $_names_word in
            -* | . | .. | *[!A-Za-z0-9+_.-]*) sr_fail "$_names_word is no name that LVM has" "names are of A-Z, a-z, 0-9 and + _ . -" ;;
        esac
    done
}

# sr_lvm_node NAME: print the device node of the logical volume NAME of $vg.
sr_lvm_node() {
    printf '%s/%s/%s\n' "$SR_DEV" "$vg" "$1"
}

# Print the type of locking of $vg: none, dlm, sanlock; nothing while it is not there.
sr_lvm_lock_type() {
    _lock_type=$(sr_lvm vgs --noheadings --readonly --nolocking -o lock_type "$vg" 2>/dev/null) || return 0
    _lock_type=$(printf '%s' "$_lock_type" | tr -d ' \n')
    printf '%s\n' "${_lock_type:-none}"
}

# sr_lvm_activate WORD: activate $volumes, with -aWORD, and publish the first as ROOT_DEVICE.
sr_lvm_activate() {
    for _activate_name in $volumes; do
        printf '%s\n' "lvm lvchange -a$1 $vg/$_activate_name" >"$SR_RUN/command"
        SR_LVM_LIMIT=$SR_LVM_TIMEOUT sr_lvm lvchange -K -a"$1" "$vg/$_activate_name" ||
            sr_fail "the logical volume $vg/$_activate_name could not be activated" \
                "what LVM says stands above; lvm lvs -a -o +lv_health_status,lock_type $vg shows the group"
    done
    device=$(sr_lvm_node "${volumes%% *}")
    sr_wait_for 10 "the device $device" test -e "$device"
    sr_put ROOT_DEVICE "$device"
    sr_log "the root's disk is $device"
}

# sr_lvm_deactivate: let go of $volumes; by device-mapper itself when LVM can't any more.
sr_lvm_deactivate() {
    for _deactivate_name in $volumes; do
        [ -e "$(sr_lvm_node "$_deactivate_name")" ] || continue
        if sr_lvm lvchange -an "$vg/$_deactivate_name"; then
            sr_log "$vg/$_deactivate_name is inactive"
        else
            sr_run dmsetup remove --retry "$(printf '%s-%s' "$(printf '%s' "$vg" | sed 's/-/--/g')" \
                "$(printf '%s' "$_deactivate_name" | sed 's/-/--/g')")" || sr_warn "$vg/$_deactivate_name is still in use"
        fi
    done
}
