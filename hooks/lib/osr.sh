# shellcheck shell=sh
# The kernel parameters of Open Shared Root, each as NAME and as com-NAME (or com_NAME), put into
# srbuild's words. Its precedence is kept: NAME wins over what was built into the image, that over
# com-NAME, and com-NAME over the cluster file (see _sr_values_merge). What has no counterpart is
# said; so is a com- word that nobody knows. No process is started: every boot comes through here.
# Only the spine reads this file.
_osr_line='
'

# sr_osr_translate: rewrite $SR_RUN/cmdline, one word a line; com-NAME's go to $SR_RUN/cmdline.com.
sr_osr_translate() {
    _osr_first='' _osr_rest='' _osr_com=''
    while IFS= read -r _osr_word; do
        _osr_given=${_osr_word%%=*}
        _osr_name=${_osr_given#com[-_]}
        _osr_value=
        case $_osr_word in
            *=*) _osr_value=${_osr_word#*=} ;;
        esac
        _osr_words=$_osr_word _osr_kind=option
        case $_osr_given in
            com[-_]?*) _sr_osr_any || _sr_osr_com || _sr_osr_note "neither OSR nor srbuild has such a parameter" ;;
            *) _sr_osr_any || _sr_osr_plain || : ;;
        esac
        [ -n "$_osr_words" ] || continue
        case $_osr_kind:$_osr_given in
            control:com[-_]?*) _osr_first="$_osr_first$_osr_words$_osr_line" ;;
            option:com[-_]?*) _osr_com="$_osr_com$_osr_words$_osr_line" ;;
            *) _osr_rest="$_osr_rest$_osr_words$_osr_line" ;;
        esac
    done <"$SR_RUN/cmdline"
    printf '%s' "$_osr_first$_osr_rest" >"$SR_RUN/cmdline"
    printf '%s' "$_osr_com" >"$SR_RUN/cmdline.com"
}

# Say that the parameter has no effect, and why; to the console and to the log.
_sr_osr_note() {
    sr_warn "kernel parameter $_osr_given: $1"
    sr_warn "kernel parameter $_osr_given: $1" 2>>"$SR_RUN/log"
    _osr_words=
}

# Words that mean the same in both spellings. Status 1: it is none of them.
_sr_osr_any() {
    case $_osr_name in
        debug) _osr_kind=control _osr_words=rd.debug ;;
        step) _sr_osr_step ;;
        rootvolume) _sr_osr_rootvolume ;;
        mountopts) _sr_osr_take rootflags ;;
        mountwait) _sr_osr_take rd.srb.nfs.pause ;;
        rootsource) _sr_osr_take rootsource ;;
        mounttimes) _sr_osr_note "a server is asked until a time has passed: rd.srb.nfs.timeout=SECONDS" ;;
        dstep) _sr_osr_note "commands are not asked about one by one: step stops before every point" ;;
        stepmode) _sr_osr_note "it has long been called step" ;;
        nodeids | votes) _sr_osr_note "the nodes are in the cluster file" ;;
        quorumack) _sr_osr_note "nobody is asked: [corosync] wait_for_all tells whether absent nodes are waited for" ;;
        syslogserver | syslogfilter | syslogtemplate) _sr_osr_note "the bootstrap's log stays on the node: sr-log" ;;
        scsi_failover) _sr_osr_note "paths are joined by the boot module multipath, in the image or not" ;;
        rootfs) _sr_osr_rootfs ;;
        rootfsck | fsck) _sr_osr_note "ext4 is checked by itself (rd.srb.ext4.check); what nodes share is not, while others may have it" ;;
        lockmethod) _sr_osr_note "the file system's superblock names its locks" ;;
        chrootneeded) _sr_osr_note "the bootstrap itself stays in memory" ;;
        cluster_conf) _sr_osr_note "the cluster file is in the image: srbuild import" ;;
        newroot) _sr_osr_note "the root is mounted on /sysroot" ;;
        cdsltree | cdslsharedtree | cdsllink) _sr_osr_note "the root's inventory names its trees: docs/host-files.md" ;;
        tmpfix | bridgename | bridgescript | bridgenetdev | bridgeantispoof | scsidriver | sourceserver)
            _sr_osr_note "OSR itself obeyed it nowhere"
            ;;
        pool | poolsource | poolcca | poolcidev | gnbdserver | mountopt | bootpart | urlsource | installdev | rdnetdebug)
            _sr_osr_note "it is of OSR's first versions, for what no kernel has any more"
            ;;
        *) return 1 ;;
    esac
}

# Words of OSR's that others use as well: only com-NAME is surely meant for us.
_sr_osr_com() {
    case $_osr_name in
        expert) _osr_kind=control _osr_words=rd.break=identity ;;
        nodeid | nodename | root) _sr_osr_take "$_osr_name" ;;
        ip) _sr_osr_note "OSR itself obeyed it nowhere: write ip=" ;;
        ro | rw) _sr_osr_note "OSR itself obeyed it nowhere: write rootflags=$_osr_name" ;;
        nousb | selinux | enforcing) _sr_osr_note "the kernel takes $_osr_name by itself" ;;
        mode | iscsi) _sr_osr_note "it is of OSR's first versions" ;;
        *) return 1 ;;
    esac
}

# The other words: only rd.break may hold a stage of OSR's.
_sr_osr_plain() {
    case $_osr_name:$_osr_value in
        rd.break:?*) _sr_osr_break ;;
        *) return 1 ;;
    esac
}

# _sr_osr_take NAME: our parameter NAME has the same value, if an option of this image takes it.
_sr_osr_take() {
    if _sr_osr_taken "$1"; then
        _osr_words=$1
        case $_osr_word in
            *=*) _osr_words=$1=$_osr_value ;;
        esac
    else
        _sr_osr_note "no boot module in this image takes it"
    fi
}

_sr_osr_taken() {
    while IFS="$SR_TAB" read -r _ _ _ _ _taken_names; do
        case ,$_taken_names, in
            *",$1,"*) return 0 ;;
        esac
    done <"$SR_HOME/options"
    return 1
}

# step: before every point; step=NAME: before the point to which OSR's stage NAME belongs.
_sr_osr_step() {
    _osr_kind=control
    case $_osr_value in
        '' | __set__) _osr_words=rd.srb.step ;;
        *) _sr_osr_break ;;
    esac
}

_sr_osr_break() {
    if sr_point_of "$_osr_value"; then
        _osr_words=rd.break=$point_of
    else
        _sr_osr_note "there is no point '$_osr_value': identity net storage cluster mount local handover"
    fi
}

# sr_point_of NAME: set $point_of to the point NAME, or to that to which the stage NAME of OSR or
# dracut belongs. Status 1 when there is none.
sr_point_of() {
    point_of=$1
    case $1 in
        identity | net | storage | cluster | mount | local | handover) ;;
        ccvalidate | hwdetect | init | parameter) point_of=identity ;;
        netconfig | netstart) point_of=net ;;
        syslog | lvm) point_of=storage ;;
        clusterload | chroot | syslogchroot | clusterstart) point_of=cluster ;;
        rootfsmount) point_of=mount ;;
        cdsl) point_of=local ;;
        fsmount | selinux | movechroot | xfiles | logfiles | cleanup | preparenewroot | scsirestart) point_of=handover ;;
        clusterrestart | syslogrestart | postsettings | initcomplete) point_of=handover ;;
        cmdline | pre-udev | pre-trigger) point_of=identity ;;
        initqueue) point_of=net ;;
        pre-mount) point_of=mount ;;
        pre-pivot) point_of=handover ;;
        *) return 1 ;;
    esac
}

# rootvolume names a disk, a logical volume, SERVER:/PATH, or a volume file, as the image has it.
_sr_osr_rootvolume() {
    case $_osr_value in
        /dev/mapper/*-*) _osr_volume=$(_sr_osr_mapped "${_osr_value#/dev/mapper/}") ;;
        /dev/mapper/* | /dev/disk/* | /dev/*/*/*) _osr_volume= ;;
        /dev/*/*) _osr_volume=${_osr_value#/dev/} ;;
        *) _osr_volume= ;;
    esac
    if [ -n "$_osr_volume" ] && _sr_osr_taken rd.lvm.lv; then
        _osr_words=rd.lvm.lv=$_osr_volume
    elif _sr_osr_taken nfsroot; then
        _osr_words=root=nfs:$_osr_value
    elif _sr_osr_taken rd.srb.glusterfs.volfile; then
        case $_osr_value in
            *:/*) _osr_words=root=glusterfs:$_osr_value ;;
            *) _osr_words=rd.srb.glusterfs.volfile=$_osr_value ;;
        esac
    else
        _sr_osr_take root
    fi
}

# Print VG/LV for device-mapper's VG-LV, in which hyphens are doubled.
_sr_osr_mapped() {
    printf '%s\n' "$1" | sed 's,--,/,g; s,-,=,; s,/,-,g; s,=,/,'
}

# The image has one file system; another one is not to be had by a word.
_sr_osr_rootfs() {
    while read -r _ _rootfs_module _; do
        case $_rootfs_module:$_osr_value in
            "$_osr_value:$_osr_value" | nfs:nfs4 | gfs2:gfs | ext4:ext[23])
                _osr_words=
                return 0
                ;;
        esac
    done <"$SR_HOME/runs"
    _sr_osr_note "this image does not mount $_osr_value: build one with --fs"
}
