#!/bin/sh
# Find the paths of the shared root that are this node's own, make what the node has not yet, and
# leave for the container's runtime what is to be mounted: see hooks/lib/hostfiles.sh. Nothing is
# mounted on the shared root here, and nothing of it changed but for mount points that it lacks.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=hooks/lib/hostlist.sh
. "$SR_LIB/hostlist.sh"
# shellcheck source=hooks/lib/hostresolve.sh
. "$SR_LIB/hostresolve.sh"
# shellcheck source=hooks/lib/hostmake.sh
. "$SR_LIB/hostmake.sh"

# shellcheck source=modules/container/local/cdsltab.sh
. "${0%/*}/cdsltab.sh"

own_list=${0%/*}/hostfiles.list
work=$SR_RUN/local
list=$work/list
tab=$(printf '\t')

# refuse NEED MESSAGE HINT: fail for what must be kept apart, else say that it is not.
refuse() {
    [ "$1" = may ] || sr_fail "$2" "$3, or have all nodes share it: [local] remove"
    sr_log "$2: passed over"
}

# The default list, and what other modules of the image have to add to it.
all_lists() {
    cat "$own_list"
    for list_other in "$SR_HOME"/modules/*/hostfiles.list; do
        case $list_other in
            */local/hostfiles.list) ;;
            *) [ ! -f "$list_other" ] || cat "$list_other" ;;
        esac
    done
}

mounted() {
    awk -v point="$SR_SYSROOT$1" '
        BEGIN { gsub(/\\/, "\\134", point); gsub(/ /, "\\040", point) }
        $5 == point { found = 1 }
        END { exit !found }' "$SR_PROC/self/mountinfo"
}

# Is the root mounted read-only?
frozen() {
    awk -v point="$SR_SYSROOT" '
        $5 == point { options = $6 "," $NF }
        END { exit ("," options ",") !~ /,ro,/ }' "$SR_PROC/self/mountinfo"
}

# Print FAR, TYPE, WHAT, NEED, FIRST and the path, TABs between, of what the entry WHAT NEED FIRST
# NAME is on this root; FAR 1 is for what is a link to where the node's files will be bound.
place() {
    sr_host_matches "$4" >"$work/matches"
    while IFS= read -r place_name <&4; do
        sr_host_resolve "$place_name"
        case ${host_class:?} in
            found | missing)
                case $1 in
                    shared) place_shared "$@" ;;
                    *) "place_$host_class" "$@" ;;
                esac
                ;;
            virtual)
                [ "${host_links:?}" = 0 ] || sr_log "$place_name leads to $host_path, which is this boot's own: left alone"
                ;;
            odd) refuse "$2" "$place_name leads to a name that cannot be mounted on" "correct the link" ;;
            loop) refuse "$2" "$place_name is a link that leads to itself" "correct the link" ;;
            absent)
                [ "$host_links" = 0 ] ||
                    refuse "$2" "$place_name is a link to $host_path, which is not there" "make that directory, or correct the link"
                ;;
            own) [ -z "$host_path" ] || place_own "$@" ;;
        esac
    done 4<"$work/matches"
}

# Not there, but its directory is. What a system makes by itself gets a mount point, lest it be made
# on the shared root.
place_missing() {
    case $2:$3 in
        may:* | must:shared | must:none | must:boot)
            case $1 in
                auto) sr_fail "[local] add has $place_name, which the shared root does not have" \
                    "make it there, or say what it is: [local] add = [\"dir:$place_name\"]" ;;
            esac
            return 0
            ;;
    esac
    place_type='file'
    case $1 in
        dir | state | tmpfs) place_type=dir ;;
    esac
    if frozen; then
        sr_log "$place_name is not there, and nobody can make it: the root is read-only"
        return 0
    fi
    # Whoever comes second finds it made; an empty file says nothing to those who read it.
    if [ "$place_type" = dir ]; then
        mkdir "$SR_SYSROOT$host_path" 2>/dev/null || :
    else
        (set -C && : >"$SR_SYSROOT$host_path") 2>/dev/null || :
    fi
    [ -e "$SR_SYSROOT$host_path" ] || sr_fail "no mount point could be made for $place_name on the shared root"
    sr_log "$host_path was not on the shared root: made as an empty mount point"
    place_found "$1" "$2" "$3"
}

# What all nodes share though it is below a directory of each node's own lies in /.srbuild/shared.
place_shared() {
    place_common=/.srbuild/shared$host_path
    [ -e "$SR_SYSROOT$place_common" ] || [ -L "$SR_SYSROOT$place_common" ] || return 0
    place_real=$(sr_resolve "$place_common") || place_real=
    [ "$place_real" = "$place_common" ] ||
        sr_fail "$place_common is a link, which is not followed" "put a directory or a file in its place"
    if [ -d "$SR_SYSROOT$place_common" ]; then
        place_type=dir
    elif [ -f "$SR_SYSROOT$place_common" ]; then
        place_type='file'
    else
        sr_fail "$place_common is neither a file nor a directory" "put one in its place"
    fi
    printf '0\t%s\tshared\t%s\t%s\t%s\n' "$place_type" "$2" "$3" "$host_path"
}

# shared_point BASE PATH TYPE: see to it that a TYPE, dir or file, can be mounted on PATH below BASE.
shared_point() (
    point_name=${2##*/}
    sr_host_enter "$1" "${2%/*}"
    if [ ! -e "./$point_name" ] && [ "$3" = dir ]; then
        sr_shared_dir "./$point_name" || :
    elif [ ! -e "./$point_name" ]; then
        (set -C && : >"./$point_name") 2>/dev/null || :
    fi
    [ ! -L "./$point_name" ] || sr_fail "$1$2 is a link, which is not followed" "put a $3 in its place"
    case $3 in
        dir) [ -d "./$point_name" ] ;;
        *) [ -f "./$point_name" ] ;;
    esac || sr_fail "$1$2 is no $3 that the shared one could be mounted on" "put one in its place"
)

place_own() {
    place_type='file'
    case $1 in
        dir | state) place_type=dir ;;
        auto) sr_fail "[local] add has $place_name, a link: say what it is" "[local] add = [\"dir:$place_name\"], or file" ;;
    esac
    printf '1\t%s\t%s\t%s\t%s\t%s\n' "$place_type" "$1" "$2" "$3" "$host_path"
}

place_found() {
    if mounted "$host_path"; then
        sr_log "$place_name is a mount point already: left alone"
        return 0
    fi
    if [ -d "$SR_SYSROOT$host_path" ]; then
        place_type=dir
    elif [ -f "$SR_SYSROOT$host_path" ]; then
        place_type='file'
    else
        refuse "$2" "$place_name is neither a file nor a directory" "put one in its place"
        return 0
    fi
    case $1:$place_type in
        tmpfs:file) sr_fail "[local] add has $1:$place_name, but that is a file" ;;
    esac
    printf '0\t%s\t%s\t%s\t%s\t%s\n' "$place_type" "$1" "$2" "$3" "$host_path"
}

# source_of TYPE WHAT FIRST PATH SHARED: set $source to the node's own file, made if it is not there.
source_of() {
    if [ "$2" = state ] && [ "$SR_LOCAL_STATE" != shared-root ]; then
        host_base=$state
    elif [ "$own" != "$shared_own" ] && [ "$(sr_resolve "/.srbuild/nodes/$node$4")" = "/.srbuild/nodes/$node$4" ]; then
        host_base=$shared_own
    else
        host_base=$own
    fi
    sr_host_make "$1" "$3" "$4" "$5"
    source=$host_base$4
}

# For each place in the order of the paths: what is below a directory of the node's own is the
# node's own with it.
mounts() {
    outer=/ inner=/
    while IFS=$tab read -r far type what need first path <&5; do
        case $path in
            "$last") continue ;;
        esac
        last=$path
        if [ "$far" = 1 ]; then
            source_of "$type" link "$first" "$path" '' 5<&-
            continue
        fi
        case $path/ in
            "$inner"/*)
                sr_fail "$path is to be kept apart, but $inner, which holds it, is shared: srbuild local share" \
                    "take one of the two off the list: srbuild local remove"
                ;;
            "$outer"/*)
                case $what in
                    tmpfs) (sr_host_enter "$outer_source" "${path#"$outer"}") || exit 1 ;;
                    shared) shared_point "$outer_source" "${path#"$outer"}" "$type" || exit 1 ;;
                    osr | common) ;;
                    *) continue ;;
                esac
                ;;
            *) [ "$what" != shared ] || shared_point "$SR_SYSROOT" "$path" "$type" || exit 1 ;;
        esac
        case $what in
            tmpfs) printf 'tmpfs\tmode=%s,nosuid,nodev\t%s\n' "$(stat -c %a "$SR_SYSROOT$path")" "${path#/}" ;;
            readonly) printf 'readonly\t-\t%s\n' "${path#/}" ;;
            shared)
                printf '%s\t%s\t%s\n' "$type" "$SR_SYSROOT/.srbuild/shared$path" "${path#/}"
                inner=$path
                ;;
            osr | common)
                source=$first
                printf '%s\t%s\t%s\n' "$type" "$source" "${path#/}"
                [ "$what" = osr ] || inner=$path
                ;;
            *)
                source_of "$type" "$what" "$first" "$path" "$path" 5<&-
                printf '%s\t%s\t%s\n' "$type" "$source" "${path#/}"
                ;;
        esac
        case $type:$what in
            file:* | dir:readonly | dir:shared | dir:common) ;;
            *) outer=$path outer_source=$source ;;
        esac
    done 5<"$work/sorted"
}

# Bind the node's files where links on the shared root lead to: as srbuild has it, as OSR had it.
trees() {
    if [ -d "$SR_SYSROOT/.srbuild/local" ] && [ ! -L "$SR_SYSROOT/.srbuild/local" ]; then
        printf 'dir\t%s\t.srbuild/local\n' "$own"
    fi
    sr_host_real /.cdsl.local || return 0
    sr_host_real /.cluster || return 0
    sr_host_real "/.cluster/cdsl/$number" || sr_fail "the shared root has /.cdsl.local, but no /.cluster/cdsl/$number" \
        "add the node $node with its number $number to OSR's tree, or remove /.cdsl.local"
    printf 'dir\t%s\t.cdsl.local\n' "$SR_SYSROOT/.cluster/cdsl/$number"
}

# Is $1 a directory of the root, no part of it a link?
sr_host_real() {
    sr_host_real_path=$(sr_resolve "$1") && [ "$sr_host_real_path" = "$1" ] && [ -d "$SR_SYSROOT$1" ]
}

prepare_state() {
    state=$own
    case $SR_LOCAL_STATE in
        tmpfs)
            state=$work/state
            mkdir -p "$state"
            mounted_at "$state" || sr_run mount -t tmpfs -o "mode=0755,size=${SR_LOCAL_STATE_SIZE:-25%}" srbuild "$state"
            ;;
        disk)
            # shellcheck source=hooks/lib/disk.sh
            . "$SR_LIB/disk.sh"
            state=$work/state
            mkdir -p "$state"
            [ -n "$SR_LOCAL_STATE_DEVICE" ] || sr_fail "state = \"disk\" needs a disk" "set [local] state_device"
            (SR_MODULE=local-disk && sr_modprobe)
            sr_disk_await 30 "$SR_LOCAL_STATE_DEVICE"
            mounted_at "$state" || sr_run -t 60 mount "$device" "$state" ||
                sr_fail "$device could not be mounted for this node's state" \
                    "is there an ext4 or xfs file system on it? nothing is ever formatted by the boot"
            ;;
        *) return 0 ;;
    esac
    host_base=
    sr_host_base "$state" "nodes/$node"
    state=$host_base
}

mounted_at() {
    grep -q " $1 " "$SR_PROC/self/mountinfo"
}

mkdir -p "$work"
rm -f "$work/mounts" "$work/init-words"
case $SR_LOCAL_STATE_SIZE in
    '' | *[!0-9kmgKMG%]*) sr_fail "[local] state_size is '$SR_LOCAL_STATE_SIZE'" "give bytes with k, m or g, or a part in per cent: 512m, 25%" ;;
esac
sr_host_families
sr_log "the shared root's system:${host_families:?}"
all_lists >"$list.default"
sr_host_site "$list.default" >"$list"
sr_host_entries "$list" "$SR_LOCAL_ADD" "$SR_LOCAL_REMOVE" >"$work/entries"
sed -n 's/^mask [^ ]* [^ ]* /systemd.mask=/p' "$work/entries" >"$work/words.new"
if ! node=$(sr_get NODE_NAME); then
    mv "$work/words.new" "$work/init-words"
    : >"$work/mounts"
    rm -f "$work/entries" "$list" "$list.default"
    sr_log "this machine is no node of a cluster: nothing is kept apart"
    exit 0
fi

sr_hint "the node's own files are in /.srbuild/nodes/$node on the shared root; see docs/host-files.md"
shared_own=$SR_SYSROOT/.srbuild/nodes/$node
if frozen; then
    sr_log "the root is read-only: what $node has no file of its own for is kept in memory"
    mkdir -p "$work/own"
    sr_host_base "$work" own
else
    sr_host_base "$SR_SYSROOT" ".srbuild/nodes/$node"
fi
own=$host_base
prepare_state

# First, so that of two entries for a path theirs counts.
if number=$(sr_get NODE_ID); then
    cdsltab_places "$number" >"$work/places"
else
    : >"$work/places"
fi
while read -r what need first name <&3; do
    case $what in
        virtual | mask) ;;
        *) place "$what" "$need" "$first" "$name" 3<&- >>"$work/places" ;;
    esac
done 3<"$work/entries"
case $host_families in
    *' systemd '*) printf 'systemd.hostname=%s\n' "$node" >>"$work/words.new" ;;
esac

last=
# By their names' parts, so that what is below a directory follows it at once.
tr / '\1' <"$work/places" | LC_ALL=C sort -s -t "$tab" -k 6 | tr '\1' / >"$work/sorted"
{
    trees
    mounts
} >"$work/mounts.new"
mv "$work/words.new" "$work/init-words"
mv "$work/mounts.new" "$work/mounts"
rm -f "$work/places" "$work/sorted" "$work/matches" "$work/entries" "$list" "$list.default"
sr_log "$(wc -l <"$work/mounts") paths are $node's own"
