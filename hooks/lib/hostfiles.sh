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
    [ -s "$SR_RUN/local/mounts" ] || return 0
    while IFS=$_sr_host_tab read -r _apply_kind _apply_source _apply_target <&3; do
        _sr_host_in_place self "${1%/}" "$_apply_kind" "$_apply_source" "$_apply_target" && continue
        _apply_at=${1%/}/$_apply_target
        case $_apply_kind in
            dir | file) sr_run mount -o bind "$_apply_source" "$_apply_at" ;;
            tmpfs) sr_run mount -t tmpfs -o "$_apply_source" srbuild "$_apply_at" ;;
            readonly) sr_run mount -o bind "$_apply_at" "$_apply_at" && sr_run mount -o remount,bind,ro "$_apply_at" ;;
            *) sr_fail "$SR_RUN/local/mounts has the kind '$_apply_kind'" ;;
        esac 3<&- || sr_fail "/$_apply_target could not be made this node's own" \
            "what is there on the shared root? see docs/host-files.md"
    done 3<"$SR_RUN/local/mounts"
    sr_hostfiles_check "$1"
}

# sr_hostfiles_check ROOT|PID: is every entry in place on the root at ROOT, or on that of the process
# PID, and seen there? Fails with the names of those that are not.
sr_hostfiles_check() {
    [ -s "$SR_RUN/local/mounts" ] || return 0
    _check_process=self _check_root=${1%/}
    case $1 in
        *[!0-9]*) ;;
        *) _check_process=$1 _check_root= ;;
    esac
    [ -r "$SR_PROC/$_check_process/mountinfo" ] || sr_fail "there is no process $1 to look at"
    _check_lost=
    while IFS=$_sr_host_tab read -r _check_kind _check_source _check_target; do
        _sr_host_in_place "$_check_process" "$_check_root" "$_check_kind" "$_check_source" "$_check_target" ||
            _check_lost="$_check_lost /$_check_target"
    done <"$SR_RUN/local/mounts"
    [ -z "$_check_lost" ] || sr_fail "not this node's own, but the shared root's:$_check_lost" \
        "the nodes would write over each other's files; see docs/host-files.md"
}

# sr_hostfiles_undo ROOT: take off what sr_hostfiles_apply has mounted there, the inner first.
sr_hostfiles_undo() {
    [ -s "$SR_RUN/local/mounts" ] || return 0
    sed '1!G;h;$!d' "$SR_RUN/local/mounts" >"$SR_RUN/local/undo"
    while IFS=$_sr_host_tab read -r _undo_kind _undo_source _undo_target <&3; do
        _sr_host_in_place self "${1%/}" "$_undo_kind" "$_undo_source" "$_undo_target" || continue
        sr_run umount "${1%/}/$_undo_target" 3<&- || sr_run umount -l "${1%/}/$_undo_target" 3<&-
    done 3<"$SR_RUN/local/undo"
}

# sr_hostfiles_keep RUN: see to it that a systemd whose /run is RUN leaves the mounts alone until it
# has ended every process, as it does with what an initrd has mounted. By its own rule it unmounts
# what is not the root when a shutdown begins, and what writes then would write on the shared root.
sr_hostfiles_keep() {
    [ -s "$SR_RUN/local/mounts" ] || return 0
    cut -f 3 "$SR_RUN/local/mounts" | while IFS= read -r _keep_target; do
        _keep_unit=$(printf '%s' "$_keep_target" | _sr_host_unit)
        mkdir -p "$1/systemd/system/$_keep_unit.mount.d"
        printf '[Unit]\nDefaultDependencies=no\n' >"$1/systemd/system/$_keep_unit.mount.d/50-srbuild.conf"
    done
}

# A path in the form that systemd.unit(5) gives it in a unit's name.
_sr_host_unit() {
    od -A n -v -t x1 | LC_ALL=C awk '
        BEGIN { for (i = 32; i < 127; i++) character[sprintf("%02x", i)] = sprintf("%c", i) }
        {
            for (i = 1; i <= NF; i++) {
                one = character[$i]
                if (one == "/")
                    name = name "-"
                else if (one ~ /^[A-Za-z0-9:_.]$/ && !(one == "." && name == ""))
                    name = name one
                else
                    name = name "\\x" $i
            }
        }
        END { print name }'
}

# _sr_host_in_place PROCESS ROOT KIND SOURCE TARGET: does PROCESS see the entry at ROOT/TARGET? The
# kernel's word is asked, /proc/PROCESS/mountinfo (proc(5)): no path is followed there. What is seen
# at a path is the mount that came last, and its parent is what is seen at the path above. Only NFS
# does not say there which of its directories is mounted: then the inodes are compared.
_sr_host_in_place() {
    _place_status=0
    _sr_host_mounted "$@" || _place_status=$?
    [ "$_place_status" -eq 2 ] || return "$_place_status"
    _place_view=
    [ "$1" = self ] || _place_view=$SR_PROC/$1/root
    [ "$("$SR_TIMEOUT" -k 5 20 stat -c %d:%i "$4")" = "$("$SR_TIMEOUT" -k 5 20 stat -c %d:%i "$_place_view$2/$5")" ]
}

# Status 0 or 1, or 2 for a mount at the right place that may be of the right file.
_sr_host_mounted() {
    SR_HOST_SOURCE=$4 SR_HOST_TARGET=$2/$5 LC_ALL=C awk -v self="$SR_PROC/self/mountinfo" -v kind="$3" '
        function escaped(text) {
            gsub(/\\/, "\\134", text)
            gsub(/ /, "\\040", text)
            return text
        }
        function within(path, above) {
            return above == "/" || path == above || index(path, above "/") == 1
        }
        # The last of the longest mount points at or above the path.
        function covering(path, proper,    i, best) {
            best = 0
            for (i = 1; i <= count; i++)
                if (within(path, point[i]) && !(proper && point[i] == path))
                    if (!best || length(point[i]) >= length(point[best]))
                        best = i
            return best
        }
        function load(file,    line, field, n, i) {
            count = 0
            delete number
            while ((getline line <file) > 0) {
                n = split(line, field, " ")
                i = ++count
                id[i] = field[1]
                parent[i] = field[2]
                device[i] = field[3]
                root[i] = field[4]
                point[i] = field[5]
                options[i] = field[6]
                number[id[i]] = i
                for (n = 7; field[n] != "-"; n++)
                    ;
                type[i] = field[n + 1]
            }
            close(file)
        }
        BEGIN {
            source = escaped(ENVIRON["SR_HOST_SOURCE"])
            target = escaped(ENVIRON["SR_HOST_TARGET"])
            if (kind == "dir" || kind == "file") {
                load(self)
                at = covering(source, 0)
                wanted_device = device[at]
                rest = point[at] == "/" ? source : substr(source, length(point[at]) + 1)
                wanted_root = root[at] == "/" ? rest : root[at] rest
                if (wanted_root == "")
                    wanted_root = "/"
            }
            load(ARGV[1])
            at = covering(target, 0)
            if (!at || point[at] != target)
                exit 1
            if (kind == "tmpfs") {
                if (type[at] != "tmpfs")
                    exit 1
            } else if (kind == "readonly") {
                if (("," options[at] ",") !~ /,ro,/)
                    exit 1
            } else if (device[at] != wanted_device)
                exit 1
            else if (type[at] ~ /^nfs/)
                unsure = 2
            else if (root[at] != wanted_root)
                exit 1
            while (parent[at] in number && point[number[parent[at]]] == target)
                at = number[parent[at]]
            above = covering(target, 1)
            exit above && parent[at] != id[above] ? 1 : unsure + 0
        }' "$SR_PROC/$1/mountinfo"
}
