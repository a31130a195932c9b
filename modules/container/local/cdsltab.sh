#!/bin/sh
# OSR's /etc/cdsltab on the shared root, which those who run from the root may write: nothing but
# directories and files of the root is ever mounted for it, and none of its links is followed out.
#
#   MOUNTPOINT [__initrd]                 a tree of links of its own below MOUNTPOINT
#   bind SOURCE TARGET [OPTIONS]          rbind likewise; or as in fstab, SOURCE TARGET bind
#
# %(nodeid)s stands for the node's number. OSR had some mounted by its initrd and the others by a
# script of the root's; both kinds of binds are mounted here, before anything of the root runs.

set -eu

# cdsltab_places NUMBER: print a place (see `place` of prepare.sh) for each entry, with its source in
# FIRST: `osr` for what is a node's own, `common` for what all share.
cdsltab_places() {
    [ "$(sr_resolve /etc/cdsltab)" = /etc/cdsltab ] && [ -f "$SR_SYSROOT/etc/cdsltab" ] || return 0
    cdsltab_number=0
    while IFS= read -r cdsltab_line || [ -n "$cdsltab_line" ]; do
        cdsltab_number=$((cdsltab_number + 1))
        cdsltab_line=${cdsltab_line%%#*}
        case $cdsltab_line in
            *[[:cntrl:]]*) cdsltab_line=$(printf '%s' "$cdsltab_line" | tr '\t' ' ') ;;
        esac
        case $cdsltab_line in
            *[[:cntrl:]]*) cdsltab_fail "it holds control characters" ;;
        esac
        cdsltab_entry "$1"
    done <"$SR_SYSROOT/etc/cdsltab"
}

# cdsltab_fail WHY: about the line that is being read.
cdsltab_fail() {
    sr_fail "/etc/cdsltab of the shared root, line $cdsltab_number: $1" \
        "correct it there; what it may hold is in docs/host-files.md"
}

# Take the line apart, in words of its own.
cdsltab_entry() {
    read -r cdsltab_one cdsltab_two cdsltab_three cdsltab_four cdsltab_rest <<END
$cdsltab_line
END
    : "$cdsltab_rest" # how often and how long OSR tried
    case $cdsltab_one:$cdsltab_two:$cdsltab_three in
        ::) ;;
        /*:: | /*:__initrd:) cdsltab_tree "$1" ;;
        /*:*:bind | /*:*:rbind) cdsltab_bind "$1" "$cdsltab_one" "$cdsltab_two" ;;
        bind:*:?* | rbind:*:?*) cdsltab_bind "$1" "$cdsltab_two" "$cdsltab_three" ;;
        /*:*: | bind:* | rbind:*) cdsltab_fail "'$cdsltab_line' is neither a mount point nor a bind" ;;
        *)
            case " $cdsltab_one $cdsltab_two $cdsltab_three $cdsltab_four " in
                *__initrd*)
                    cdsltab_fail "the bootstrap mounts no other file system that a file of the root names: name it in the root's /etc/fstab, without __initrd here"
                    ;;
            esac
            sr_log "/etc/cdsltab, line $cdsltab_number: left to the root's own system"
            ;;
    esac
}

# A directory with .cluster/cdsl and .cdsl.local of its own, as the root itself has them.
cdsltab_tree() {
    cdsltab_top=$(cdsltab_path "$cdsltab_one") || exit 1
    cdsltab_source=$cdsltab_top/.cluster/cdsl/$1
    sr_host_real "$cdsltab_source" || cdsltab_fail "there is no $cdsltab_source"
    sr_host_real "$cdsltab_top/.cdsl.local" || cdsltab_fail "there is no $cdsltab_top/.cdsl.local"
    cdsltab_put osr dir "$cdsltab_source" "$cdsltab_top/.cdsl.local"
}

# cdsltab_bind NUMBER SOURCE TARGET
cdsltab_bind() {
    cdsltab_source=$(cdsltab_path "$(cdsltab_filled "$1" "$2")") || exit 1
    cdsltab_target=/$(cdsltab_filled "$1" "${3#/}")
    sr_host_resolve "$cdsltab_target"
    case ${host_class:?} in
        found) ;;
        virtual)
            sr_log "/etc/cdsltab, line $cdsltab_number: $cdsltab_target leads to ${host_path:?}, which is this boot's own: left alone"
            return 0
            ;;
        *) cdsltab_fail "nothing can be mounted on $cdsltab_target" ;;
    esac
    cdsltab_what=common
    case $cdsltab_source/ in
        "/.cluster/cdsl/$1/"*) cdsltab_what=osr ;;
    esac
    if [ -d "$SR_SYSROOT$cdsltab_source" ] && [ -d "$SR_SYSROOT$host_path" ]; then
        cdsltab_put "$cdsltab_what" dir "$cdsltab_source" "$host_path"
    elif [ -f "$SR_SYSROOT$cdsltab_source" ] && [ -f "$SR_SYSROOT$host_path" ]; then
        cdsltab_put "$cdsltab_what" file "$cdsltab_source" "$host_path"
    else
        cdsltab_fail "$cdsltab_source and $cdsltab_target are not both directories, nor both files"
    fi
}

# cdsltab_put WHAT TYPE SOURCE PATH
cdsltab_put() {
    printf '0\t%s\t%s\tmust\t%s\t%s\n' "$2" "$1" "$SR_SYSROOT$3" "$4"
}

# cdsltab_filled NUMBER TEXT
cdsltab_filled() {
    printf '%s\n' "$2" | sed "s/%(nodeid)s/$1/g"
}

# cdsltab_path PATH: print it, or fail: it is there, and no part of it is a link.
cdsltab_path() {
    cdsltab_real=$(sr_resolve "$1") || cdsltab_fail "$1 is not there"
    case $cdsltab_real in
        /) cdsltab_fail "$1 is the root itself" ;;
        "/${1#/}") printf '%s\n' "$cdsltab_real" ;;
        *) cdsltab_fail "a link leads to $1" ;;
    esac
}
