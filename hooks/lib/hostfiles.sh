# shellcheck shell=sh
# Putting a node's own files in place on a root, and looking whether they are. What is to be done
# stands in $SR_RUN/local/mounts, which the module `local` writes, one line an entry, the outer
# before the inner, TABs between:
#
#   dir SOURCE TARGET       bind the directory SOURCE, an absolute path of the bootstrap's
#   file SOURCE TARGET      bind the file SOURCE
#   tmpfs OPTIONS TARGET    mount a tmpfs
#   readonly - TARGET       make what is there read-only
#
# TARGET is relative to the root, exists there, and no part of it is a link.
# $SR_RUN/local/init-words holds words for the init of a container, one a line.

_sr_host_tab=$(printf '\t')

# sr_hostfiles_apply ROOT: do the mounts on the root that is at ROOT, then check them. Entries that
# are in place are left as they are, so it may be called again.
sr_hostfiles_apply() {
    _sr_host_listed || return 0
    _sr_host_states self "${1%/}" >"$SR_RUN/local/states"
    _apply_above=
    while IFS=$_sr_host_tab read -r _apply_status _apply_kind _apply_source _apply_target <&3; do
        case $_apply_target in
            "$_apply_above"/*) ;; # covered by what was mounted just now
            *) [ "$_apply_status" -ne 0 ] || continue ;;
        esac
        _apply_at=${1%/}/$_apply_target
        case $_apply_kind in
            dir | file) sr_run mount -o bind "$_apply_source" "$_apply_at" ;;
            tmpfs) sr_run mount -t tmpfs -o "$_apply_source" srbuild "$_apply_at" ;;
            readonly) sr_run mount -o bind "$_apply_at" "$_apply_at" && sr_run mount -o remount,bind,ro "$_apply_at" ;;
            *) sr_fail "$SR_RUN/local/mounts has the kind '$_apply_kind'" ;;
        esac 3<&- || sr_fail "/$_apply_target could not be made this node's own" \
            "what is there on the shared root? see docs/host-files.md"
        case $_apply_target in
            "$_apply_above"/*) ;;
            *) _apply_above=$_apply_target ;;
        esac
    done 3<"$SR_RUN/local/states"
    sr_hostfiles_check "$1"
}

# sr_hostfiles_check ROOT|PID: is every entry in place on the root at ROOT, or on that of the process
# PID, and seen there? Fails with the names of those that are not.
sr_hostfiles_check() {
    _sr_host_listed || return 0
    _check_process=self _check_root=${1%/}
    case $1 in
        *[!0-9]*) ;;
        *) _check_process=$1 _check_root= ;;
    esac
    [ -r "$SR_PROC/$_check_process/mountinfo" ] || sr_fail "there is no process $1 to look at"
    _check_lost=$(_sr_host_states "$_check_process" "$_check_root" | sed -n "s/^1$_sr_host_tab.*$_sr_host_tab/ \//p" | tr -d '\n')
    [ -z "$_check_lost" ] || sr_fail "not this node's own, but the shared root's:$_check_lost" \
        "the nodes would write over each other's files; see docs/host-files.md"
}

# sr_hostfiles_undo ROOT: take off what sr_hostfiles_apply has mounted there, the inner first.
sr_hostfiles_undo() {
    [ -s "$SR_RUN/local/mounts" ] || return 0 # a boot that fails before `local` has none
    _sr_host_states self "${1%/}" | sed '1!G;h;$!d' >"$SR_RUN/local/states"
    while IFS=$_sr_host_tab read -r _undo_status _ _ _undo_target <&3; do
        [ "$_undo_status" -eq 0 ] || continue
        sr_run umount "${1%/}/$_undo_target" 3<&- || sr_run umount -l "${1%/}/$_undo_target" 3<&-
    done 3<"$SR_RUN/local/states"
}

# Is there anything to be done? An image that has the module `local` has its list, if an empty one.
_sr_host_listed() {
    [ ! -s "$SR_RUN/local/mounts" ] || return 0
    if [ ! -f "$SR_RUN/local/mounts" ] && [ -d "$SR_HOME/modules/local" ]; then
        sr_fail "the list of this node's own files is not there: $SR_RUN/local/mounts" \
            "has the point 'local' been passed over? break=local and resume run it"
    fi
    return 1
}

# sr_hostfiles_keep RUN: see to it that a systemd whose /run is RUN leaves the mounts alone until it
# has ended every process, as it does with what an initrd has mounted. By its own rule it unmounts
# what is not the root when a shutdown begins, and what writes then would write on the shared root.
sr_hostfiles_keep() {
    _sr_host_listed || return 0
    cut -f 3 "$SR_RUN/local/mounts" | _sr_host_units | while IFS= read -r _keep_unit; do
        mkdir -p "$1/systemd/system/$_keep_unit.mount.d"
        printf '[Unit]\nDefaultDependencies=no\n' >"$1/systemd/system/$_keep_unit.mount.d/50-srbuild.conf"
    done
}

# Paths, one a line, in the form that systemd.unit(5) gives them in a unit's name.
_sr_host_units() {
    od -A n -v -t x1 | LC_ALL=C awk '
        BEGIN { for (i = 32; i < 127; i++) character[sprintf("%02x", i)] = sprintf("%c", i) }
        {
            for (i = 1; i <= NF; i++) {
                one = character[$i]
                if ($i == "0a") {
                    print name
                    name = ""
                } else if (one == "/")
                    name = name "-"
                else if (one ~ /^[A-Za-z0-9:_.]$/ && !(one == "." && name == ""))
                    name = name one
                else
                    name = name "\\x" $i
            }
        }'
}

# _sr_host_states PROCESS ROOT: print the entries, before each a 0 where PROCESS sees it in place
# below ROOT, or a 1. The kernel's word is asked, /proc/PROCESS/mountinfo (proc(5)): no path is
# followed there. Only NFS does not say which of its directories is mounted: inodes tell then.
_sr_host_states() {
    _states_view=
    [ "$1" = self ] || _states_view=$SR_PROC/$1/root
    _sr_host_mounted "$@" | while IFS=$_sr_host_tab read -r _states_status _states_rest; do
        if [ "$_states_status" -eq 2 ]; then
            _states_status=1
            _states_source=${_states_rest#*"$_sr_host_tab"}
            _states_target=${_states_source#*"$_sr_host_tab"}
            _states_source=${_states_source%%"$_sr_host_tab"*}
            [ "$("$SR_TIMEOUT" -k 5 20 stat -c %d:%i "$_states_source")" != \
                "$("$SR_TIMEOUT" -k 5 20 stat -c %d:%i "$_states_view$2/$_states_target")" ] || _states_status=0
        fi
        printf '%s\t%s\n' "$_states_status" "$_states_rest"
    done
}

# The same with a 2 for a mount at the right place that may be of the right file. What is seen at a
# path is the mount that came last, and its parent is what is seen at the path above.
_sr_host_mounted() {
    SR_HOST_ROOT=$2 LC_ALL=C awk -F '\t' -v self="$SR_PROC/self/mountinfo" -v other="$SR_PROC/$1/mountinfo" '
        function escaped(text) {
            gsub(/\\/, "\\134", text)
            gsub(/ /, "\\040", text)
            return text
        }
        function within(path, above) {
            return above == "/" || path == above || index(path, above "/") == 1
        }
        function load(whose, file,    line, field, n, i) {
            while ((getline line <file) > 0) {
                n = split(line, field, " ")
                count[whose]++
                i = whose count[whose]
                id[i] = field[1]
                parent[i] = field[2]
                device[i] = field[3]
                root[i] = field[4]
                point[i] = field[5]
                options[i] = field[6]
                number[whose id[i]] = i
                for (n = 7; field[n] != "-"; n++)
                    ;
                type[i] = field[n + 1]
            }
            close(file)
        }
        # The last of the longest mount points at or above the path; "" when there is none.
        function covering(whose, path, proper,    i, n, best) {
            best = ""
            for (n = 1; n <= count[whose]; n++) {
                i = whose n
                if (within(path, point[i]) && !(proper && point[i] == path))
                    if (best == "" || length(point[i]) >= length(point[best]))
                        best = i
            }
            return best
        }
        function is_source(at, path,    from, rest) {
            from = covering("self ", path, 0)
            rest = point[from] == "/" ? path : substr(path, length(point[from]) + 1)
            rest = root[from] == "/" ? rest : root[from] rest
            if (device[at] != device[from])
                return 1
            if (type[at] ~ /^nfs/)
                return 2
            return root[at] != (rest == "" ? "/" : rest)
        }
        function state(kind, source, target,    at, above, found) {
            at = covering("its ", target, 0)
            if (at == "" || point[at] != target)
                return 1
            if (kind == "tmpfs")
                found = type[at] != "tmpfs"
            else if (kind == "readonly")
                found = ("," options[at] ",") !~ /,ro,/
            else
                found = is_source(at, source)
            while (("its " parent[at]) in number && point[number["its " parent[at]]] == target)
                at = number["its " parent[at]]
            above = covering("its ", target, 1)
            return above != "" && parent[at] != id[above] ? 1 : found
        }
        BEGIN {
            load("self ", self)
            load("its ", other)
        }
        { print state($1, escaped($2), escaped(ENVIRON["SR_HOST_ROOT"] "/" $3)) "\t" $0 }' "$SR_RUN/local/mounts"
}
