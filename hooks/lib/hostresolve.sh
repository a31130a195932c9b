# shellcheck shell=sh
# Where a host-specific path leads on the shared root. What is there was written by others: links
# may lead anywhere and names may hold anything.

# sr_host_resolve PATH: follow PATH inside $SR_SYSROOT as a process whose root it is would, and set
#   $host_class   found; missing (only the last name is not there); virtual (it leads to the
#                 kernel's or to this boot's own state); own (it is a link to where the node's
#                 files are bound); absent (a directory of it is not there); loop; odd (a name
#                 that no list of mounts can hold)
#   $host_path    where it leads, from the root on; of own the path below the node's files
#   $host_links   how many links were on the way
sr_host_resolve() {
    _host_rest=${1#/}/
    host_path=
    host_links=0
    while [ -n "$_host_rest" ]; do
        _host_part=${_host_rest%%/*}
        _host_rest=${_host_rest#*/}
        case $_host_part in
            '' | .) continue ;;
            ..)
                host_path=${host_path%/*}
                continue
                ;;
        esac
        host_path=$host_path/$_host_part
        case $host_path in
            *[[:cntrl:]]*)
                host_class=odd
                return
                ;;
            /proc | /sys | /dev | /run)
                host_class=virtual
                return
                ;;
            /.srbuild/local | /.cdsl.local)
                _sr_host_own
                return
                ;;
        esac
        if [ -L "$SR_SYSROOT$host_path" ]; then
            _sr_host_follow || return 0
        elif [ ! -e "$SR_SYSROOT$host_path" ]; then
            _sr_host_lost
            return
        elif [ -n "${_host_rest%%/}" ] && [ ! -d "$SR_SYSROOT$host_path" ]; then
            host_class=absent
            return
        fi
    done
    host_class=found
    [ -n "$host_path" ] || host_class=odd
}

# The link at $host_path: what it says comes before the rest. Status 1 ends the walk.
_sr_host_follow() {
    host_links=$((host_links + 1))
    if [ "$host_links" -gt 40 ]; then
        host_class=loop
        return 1
    fi
    # The dot keeps a line end, should the link's text have one.
    _host_target=$(readlink -n "$SR_SYSROOT$host_path" && printf .) || _host_target=.
    _host_target=${_host_target%.}
    case $_host_target in
        /*) host_path= ;;
        *) host_path=${host_path%/*} ;;
    esac
    _host_rest=$_host_target/$_host_rest
}

# Nothing is at $host_path. Only where no name follows is it a place for a mount point.
_sr_host_lost() {
    case $_host_rest in
        *[!/]*) host_class=absent ;;
        *) host_class=missing ;;
    esac
}

# Below the directory that the node's own files are bound to; the rest has no links to follow yet.
_sr_host_own() {
    _host_below=
    while [ -n "$_host_rest" ]; do
        _host_part=${_host_rest%%/*}
        _host_rest=${_host_rest#*/}
        case $_host_part in
            '' | .) ;;
            .. | *[[:cntrl:]]*)
                host_class=odd
                return
                ;;
            *) _host_below=$_host_below/$_host_part ;;
        esac
    done
    host_class=own
    [ "$host_path" = /.srbuild/local ] || _host_below=
    host_path=$_host_below
}

# sr_host_matches PATTERN: print the paths of the root that PATTERN matches, one a line, at most
# 256; PATTERN itself when it is none. Names with control characters are passed over, and said.
sr_host_matches() {
    case $1 in
        *'*'* | *'?'*) ;;
        *)
            printf '%s\n' "$1"
            return
            ;;
    esac
    _matches_dir=${1%/*}
    case $_matches_dir in
        *'*'* | *'?'*) sr_fail "$1: only the last name of a host-specific path may hold * or ?" ;;
    esac
    sr_host_resolve "${_matches_dir:-/.}"
    [ -z "$_matches_dir" ] || [ "$host_class" = found ] || return 0
    [ -d "$SR_SYSROOT$host_path" ] || return 0
    find "$SR_SYSROOT$host_path/." ! -name . -prune -name "${1##*/}" -print0 | tr '\n\0' '\1\n' |
        head -n 256 | while IFS= read -r _matches_one; do
        case $_matches_one in
            *[[:cntrl:]]*) sr_warn "a name in $_matches_dir holds control characters: passed over" ;;
            *) printf '%s/%s\n' "$_matches_dir" "${_matches_one##*/}" ;;
        esac
    done
}
