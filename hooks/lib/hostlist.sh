# shellcheck shell=sh
# Which paths of the shared root belong to one node: the default list (hostfiles.list of the module
# `local`) and those of other modules, the shared root's own list, what the cluster file adds and
# removes, and which of it concerns the system that is there. builder/srbuild/hostfiles.py reads the
# same lists; `srbuild local` writes that of the shared root.

# sr_host_families: set $host_families to the words of the list's column WHERE that hold for the
# root, with blanks around: by its os-release, and by what is there. A distribution that is none
# of the families may have the files of each.
sr_host_families() {
    host_families=
    if _families_file=$(sr_resolve /etc/os-release) && [ -f "$SR_SYSROOT$_families_file" ]; then
        for _families_word in $(head -n 60 "$SR_SYSROOT$_families_file" |
            sed -n 's/^ID\(_LIKE\)\{0,1\}=//p' | tr '[:upper:]' '[:lower:]' | tr -cs 'a-z0-9' ' '); do
            case $_families_word in
                debian | ubuntu) host_families="$host_families debian" ;;
                rhel | fedora | centos) host_families="$host_families rhel" ;;
            esac
        done
    fi
    if [ -z "$host_families" ]; then
        ! sr_resolve /etc/debian_version >/dev/null || host_families=' debian'
        ! sr_resolve /etc/redhat-release >/dev/null || host_families="$host_families rhel"
        host_families=${host_families:-' debian rhel'}
    fi
    _families_init=sysv
    for _families_file in /usr/lib/systemd/systemd /lib/systemd/systemd; do
        ! sr_resolve "$_families_file" >/dev/null || _families_init=systemd
    done
    host_families="$host_families $_families_init "
}

# sr_host_site DEFAULTS: print the list of this root: the entries of its own, /.srbuild/list, and
# those of the file DEFAULTS whose names it does not have. Fails for a list that is no such file.
sr_host_site() {
    _site_list=$SR_SYSROOT/.srbuild/list
    if ! _site_real=$(sr_resolve /.srbuild/list) && [ ! -L "$_site_list" ]; then
        cat "$1"
        return
    fi
    if [ "$_site_real" != /.srbuild/list ] || [ ! -f "$_site_list" ]; then
        sr_fail "/.srbuild/list on the shared root is a link or no file" "put the list in its place, or remove it"
    fi
    [ "$(head -c 65537 "$_site_list" | wc -c)" -le 65536 ] ||
        sr_fail "/.srbuild/list on the shared root is longer than 64 KiB" "name directories, not their files"
    if ! _site_text=$(_sr_host_site_lines "$1"); then
        sr_fail "/.srbuild/list on the shared root, $_site_text" "srbuild local check tells all that is wrong with it"
    fi
    printf '%s\n' "$_site_text"
}

# Print the entries, or what is wrong with the first that is none.
_sr_host_site_lines() {
    LC_ALL=C awk -v own="$_site_list" '
    function refuse(text) {
        print "line " FNR ": " text
        failed = 1
        exit 1
    }
    FILENAME == own && ($0 ~ /^[ \t]*(#|$)/) { next }
    FILENAME == own {
        if ($0 ~ /[\001-\010\013-\037\177]/) refuse("control characters")
        if (NF < 6) refuse(NF " columns of 6")
        if ($1 !~ /^(\/[^\/]+)+$/ || ($1 "/") ~ /\/\.\.?\//) refuse($1 " is no absolute path")
        if ($1 ~ /[*?].*\//) refuse($1 ": only the last name may hold * or ?")
        if (($1 "/") ~ /^\/(proc|sys|dev|run|\.srbuild)\//) refuse($1 " cannot be one node\047s own")
        if ($2 !~ /^(dir|state|file|tmpfs|readonly|shared)$/) refuse($2 " is no kind")
        if ($3 != "any") refuse("WHERE is " $3 ", not any")
        if ($4 !~ /^(must|make|may)$/) refuse($4 " is no NEED")
        if ($5 !~ /^(shared|tree|empty|none)$/) refuse($5 " is no FIRST")
        if ($1 in names) refuse($1 " is there twice")
        names[$1] = 1
        lines[++count] = $0
        next
    }
    !($1 in names) { lines[++count] = $0 }
    END {
        if (failed) exit 1
        for (i = 1; i <= count; i++) print lines[i]
    }' "$_site_list" "$1"
}

# Do the words of $1, with + between, all hold?
_sr_host_concerns() {
    _concerns_rest=$1+
    while [ -n "$_concerns_rest" ]; do
        _concerns_word=${_concerns_rest%%+*}
        _concerns_rest=${_concerns_rest#*+}
        [ "$_concerns_word" != any ] || continue
        case $host_families in
            *" $_concerns_word "*) ;;
            *) return 1 ;;
        esac
    done
}

# sr_host_entries LIST ADD REMOVE: print WHAT, NEED, FIRST and NAME of every entry that concerns
# the root, with blanks between; ADD and REMOVE are words. An entry that is added takes the place
# of the list's. Fails for an entry that is none and for a removal of what is not there.
sr_host_entries() {
    _entries_known=' '
    _entries_added=' '
    set -f
    for _entries_word in $2; do
        _entries_added="$_entries_added${_entries_word#*:} "
    done
    for _entries_word in $2; do
        _sr_host_added "$_entries_word"
        _entries_known="$_entries_known$_entries_name "
        case " $3 " in
            *" $_entries_name "*) sr_fail "[local] adds $_entries_name and removes it" "drop one of the two" ;;
        esac
        printf '%s %s %s %s\n' "$_entries_what" "$_entries_need" "$_entries_first" "$_entries_name"
    done
    while read -r _entries_name _entries_what _entries_where _entries_need _entries_first _; do
        case $_entries_name in
            '' | '#'*) continue ;;
        esac
        _entries_known="$_entries_known$_entries_name "
        case "$_entries_added $3 " in
            *" $_entries_name "*) continue ;;
        esac
        _sr_host_concerns "$_entries_where" || continue
        printf '%s %s %s %s\n' "$_entries_what" "$_entries_need" "$_entries_first" "$_entries_name"
    done <"$1"
    for _entries_word in $3; do
        case $_entries_known in
            *" $_entries_word "*) ;;
            *) sr_fail "[local] removes $_entries_word, which is not host-specific" \
                "write the path as the default list has it: docs/host-files.md" ;;
        esac
    done
    set +f
}

# An entry of the cluster file: set $_entries_name and what else there is of it.
_sr_host_added() {
    _entries_name=${1#*:}
    _entries_what=auto
    [ "$1" = "$_entries_name" ] || _entries_what=${1%%:*}
    _entries_first=shared
    _entries_need='make'
    case $_entries_what in
        state) _entries_first=tree ;;
        auto) _entries_need=must ;;
        dir | file | tmpfs) ;;
        readonly) _entries_need=must _entries_first=none ;;
        *) sr_fail "[local] add has $1, but $_entries_what is no kind" \
            "a kind is one of dir, state, file, tmpfs, readonly" ;;
    esac
    sr_check_path "$_entries_name" || sr_fail "[local] add has $1, whose path is none" \
        "an absolute path without .., as /etc/example"
    case $_entries_name/ in
        / | // | /proc/* | /sys/* | /dev/* | /run/* | /.srbuild/*)
            sr_fail "[local] add has $1, which cannot be one node's own" "name a path below, on the shared root" ;;
    esac
}
