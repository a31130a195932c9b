# shellcheck shell=sh
# Making what a node has not yet: a file or directory of its own, whole or not at all, whatever
# ends the attempt and whoever does the same at once. It is made under a name of this attempt in
# BASE/.new and renamed; nothing there is ever followed as a link, for others write there, too.

# sr_host_enter DIRECTORY PATH: make the directories of PATH below DIRECTORY and go there; to be
# called in a subshell. Fails where one is a link or no directory. It begins anew for 5 seconds:
# a directory that two nodes make at once on GlusterFS is absent or stale to both for a moment.
sr_host_enter() {
    [ -d "$1" ] || sr_fail "there is no directory $1"
    sr_wait_for 5 "the directory $1$2" _sr_host_enter "$1" "$2" ||
        sr_fail "the directory $_enter_at could not be made" "is the file system full, or mounted read-only?"
}

_sr_host_enter() {
    _enter_at=$1
    cd -P "$1" || return 1
    _enter_rest=${2#/}/
    _enter_at=$(pwd -P)
    while [ -n "$_enter_rest" ]; do
        _enter_part=${_enter_rest%%/*}
        _enter_rest=${_enter_rest#*/}
        [ -n "$_enter_part" ] || continue
        _enter_at=${_enter_at%/}/$_enter_part
        # In this order: it may appear between the two.
        if [ -e "./$_enter_part" ] && [ ! -d "./$_enter_part" ]; then
            sr_fail "$_enter_at is no directory" "put one in its place"
        fi
        [ -d "./$_enter_part" ] || mkdir "./$_enter_part" 2>/dev/null || [ -d "./$_enter_part" ] || return 1
        cd -P "./$_enter_part" 2>/dev/null || return 1
        # A link would have led elsewhere, also one that appeared just now.
        [ "$(pwd -P)" = "$_enter_at" ] ||
            sr_fail "$_enter_at is a link, which is not followed" "put a directory in its place"
    done
}

# sr_host_base DIRECTORY PATH: make the place BASE for a node's own files and set $host_base to it;
# what attempts that were killed have left there is removed.
sr_host_base() {
    (sr_host_enter "$1" "$2/.new") || exit 1
    host_base=${1%/}/${2#/}
    read -r _base_boot <"$SR_PROC/sys/kernel/random/boot_id"
    host_attempt=$_base_boot.$$
    for _base_left in "$host_base"/.new/*; do
        [ -e "$_base_left" ] || [ -L "$_base_left" ] || continue
        _base_name=${_base_left##*/}
        _base_pid=${_base_name#"$_base_boot".}
        case ${_base_pid%.cpio} in
            "$_base_name" | *[!0-9]* | '') ;;
            # Of a process that has ended and was not waited for yet there is no program any more.
            *) [ ! -e "/proc/${_base_pid%.cpio}/exe" ] || [ "${_base_pid%.cpio}" = "$$" ] || continue ;;
        esac
        sr_run rm -rf "$_base_left"
    done
}

# sr_host_make TYPE FIRST PATH SHARED: see to it that $host_base has PATH, of TYPE dir or file: from
# the template, else as FIRST says, which may look at SHARED, the path on the shared root (empty
# when it has none). Fails when what is there is of another type.
sr_host_make() {
    _make_type=$1 _make_first=$2 _make_path=$3 _make_shared=${4:+$SR_SYSROOT$4}
    _make_done=$host_base$_make_path
    (sr_host_enter "$host_base" "${_make_path%/*}") || exit 1
    _sr_host_there && return
    _make_new=$host_base/.new/$host_attempt
    sr_run rm -rf "$_make_new"
    _make_from=$_make_shared
    case $_make_first in
        node-name | machine-id | host-nqn | uuid) ;;
        *)
            if _make_template=$(sr_resolve "/.srbuild/template$_make_path"); then
                _make_from=$SR_SYSROOT$_make_template
                _make_first=shared
            fi
            ;;
    esac
    case $_make_first in
        boot)
            _make_first=shared
            [ ! -f "$SR_ROOT$_make_path" ] || [ -L "$SR_ROOT$_make_path" ] || _make_from=$SR_ROOT$_make_path
            ;;
    esac
    "_sr_host_new_$_make_type" || sr_fail "$_make_done could not be made" "is the file system full?"
    # Of two that do the same at once one comes first; then rename(2) refuses a directory that has
    # something in it, and a file is replaced by one that is as good.
    mv -T "$_make_new" "$_make_done" 2>/dev/null || sr_run rm -rf "$_make_new"
    _sr_host_there || sr_fail "$_make_done could not be made" "is the file system full?"
    sr_log "$_make_path: made for this node"
}

_sr_host_there() {
    [ -e "$_make_done" ] || [ -L "$_make_done" ] || return 1
    [ ! -L "$_make_done" ] || sr_fail "$_make_done is a link, which is not followed" "put a $_make_type in its place"
    case $_make_type in
        dir) [ -d "$_make_done" ] || sr_fail "$_make_done is no directory" "put one in its place, or remove it" ;;
        *) [ -f "$_make_done" ] || sr_fail "$_make_done is no file" "put one in its place, or remove it" ;;
    esac
}

# Give $_make_new the owner and the mode of $1.
_sr_host_like() {
    chown "$(stat -c %u:%g "$1")" "$_make_new" && chmod "$(stat -c %a "$1")" "$_make_new"
}

_sr_host_new_file() {
    case $_make_first in
        node-name) sr_get NODE_NAME >"$_make_new" ;;
        machine-id)
            if [ -s "$host_base/etc/machine-id" ] && [ ! -L "$host_base/etc/machine-id" ]; then
                head -n 1 "$host_base/etc/machine-id" >"$_make_new"
            else
                _sr_host_uuid | tr -d - >"$_make_new"
            fi
            ;;
        uuid) _sr_host_uuid >"$_make_new" ;;
        host-nqn) printf 'nqn.2014-08.org.nvmexpress:uuid:%s\n' "$(_sr_host_uuid)" >"$_make_new" ;;
        shared)
            if [ -n "$_make_from" ] && [ -f "$_make_from" ]; then
                # A link, should one appear now, is copied as such and refused.
                sr_run -t 60 cp -pP "$_make_from" "$_make_new" && [ ! -L "$_make_new" ] || return 1
            else
                : >"$_make_new"
            fi
            ;;
        *) : >"$_make_new" ;;
    esac || return 1
    if [ "$_make_first" != shared ] && [ -n "$_make_shared" ] && [ -f "$_make_shared" ]; then
        _sr_host_like "$_make_shared" || return 1
    fi
    sync "$_make_new"
}

_sr_host_uuid() {
    head -n 1 "$SR_PROC/sys/kernel/random/uuid"
}

_sr_host_new_dir() {
    mkdir "$_make_new" || return 1
    [ -n "$_make_from" ] && [ -d "$_make_from" ] || return 0
    case $_make_first in
        shared) sr_run -t 300 sh -eu "$SR_LIB/hostcopy.sh" "$_make_from" "$_make_new" ! -type p ! -type s ! -type b ! -type c ;;
        tree) sr_run -t 300 sh -eu "$SR_LIB/hostcopy.sh" "$_make_from" "$_make_new" -type d ;;
        *) _sr_host_like "$_make_from" ;;
    esac || return 1
    sync -f "$_make_new"
}
