#!/bin/sh
# Mount the shared root by the GlusterFS client, a process that is the file system: it outlives the
# handover. A server that does not answer is tried again until the deadline, the others in turn; a
# volume that the servers don't know is an error at once.
set -eu
set -f # no patterns: an IPv6 address in brackets would be one
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=hooks/lib/root.sh
. "$SR_LIB/root.sh"
# shellcheck source=hooks/lib/names.sh
. "$SR_LIB/names.sh"

log=$SR_ROOT/var/log/glusterfs/root.log
pidfile=$SR_ROOT/run/glusterfs.root.pid

# read_root TEXT: glusterfs:SERVER[,SERVER…]:/VOLUME
read_root() {
    case $1 in
        '' | glusterfs | *.glusterfs) return 0 ;;
        glusterfs:*) ;;
        *)
            sr_fail "root=$1: this image mounts its root from a GlusterFS volume" \
                "write root=glusterfs:SERVER:/VOLUME, or drop it and use the cluster file"
            ;;
    esac
    _root_rest=${1#glusterfs:}
    volume=${_root_rest##*:/}
    servers=$(printf '%s\n' "${_root_rest%":/$volume"}" | tr ',' ' ')
    if [ "$volume" = "$_root_rest" ] || [ -z "$servers" ]; then
        sr_fail "root=$1 is not glusterfs:SERVER[,SERVER…]:/VOLUME" "for example root=glusterfs:10.9.0.1:/root"
    fi
    for _root_server in $servers; do
        sr_check_endpoint "$_root_server" || sr_fail "root=$1: '$_root_server' is no server"
    done
}

# glusterd knows volumes by letters, digits, - and _ (its own check).
check_volume() {
    case ${volume%%/*} in
        '' | *[!A-Za-z0-9_-]*)
            sr_fail "'${volume%%/*}' cannot be the name of a volume" "a name has letters, digits, - and _"
            ;;
    esac
    sr_check_path "/$volume" || sr_fail "'$volume' is no VOLUME/FOLDER"
}

# client_options: print the client's words for access and options, one a line. What only mount(8)
# understands and an fstab may have is left out.
client_options() {
    [ "$(sr_root_access)" = rw ] || echo --read-only
    for _option in $(printf '%s' "$SR_GLUSTERFS_OPTIONS" | tr ',' ' '); do
        case ${_option%%=*} in
            defaults | noatime | nodiratime | relatime | _netdev | rw) ;;
            ro) echo --read-only ;;
            acl | capability | enable-ino32 | fopen-keep-cache | global-threading | lru-limit | selinux | \
                thin-client | auto-invalidation | background-qlen | congestion-threshold | direct-io-mode | \
                attribute-timeout | entry-timeout | negative-timeout | gid-timeout | invalidate-limit | \
                kernel-writeback-cache | attr-times-granularity | no-root-squash | oom-score-adj | \
                reader-thread-count | resolve-gids | secure-mgmt | use-readdirp | event-history | \
                log-buf-size | log-flush-timeout | log-format | xlator-option)
                printf -- '--%s\n' "$_option"
                ;;
            *) return 1 ;;
        esac
    done
}

# source_options: print the words that name the volume; the servers in the order of $servers.
source_options() {
    if [ -n "$SR_GLUSTERFS_VOLFILE" ]; then
        printf -- '--volfile=%s\n' "$SR_GLUSTERFS_VOLFILE"
        return 0
    fi
    _source_port=
    for _source_server in $servers; do
        sr_endpoint "$_source_server"
        printf -- '--volfile-server=%s\n' "$endpoint_host"
        _source_port=${_source_port:-$endpoint_port}
    done
    # The client takes one port for all of them.
    [ -z "$_source_port" ] || printf -- '--volfile-server-port=%s\n' "$_source_port"
    printf -- '--volfile-id=%s\n' "${volume%%/*}"
    case $volume in
        */?*) printf -- '--subdir-mount=/%s\n' "${volume#*/}" ;;
    esac
}

# Print the last errors of this attempt, without place and time.
log_says() {
    tail -c "+$((log_size + 1))" "$log" 2>/dev/null | LC_ALL=C grep -E '^\[[^]]*\] [EW] ' |
        grep -v 'cleanup_and_exit' | sed 's/^\[[^]]*\] [EW] \(\[MSGID: [0-9]*\] \)\{0,1\}//' |
        tail -n 3 | sr_printable
}

mounted() {
    grep -q " $SR_SYSROOT .* - fuse" "$SR_PROC/self/mountinfo"
}

# What an attempt may have left behind.
undo() {
    ! mounted || sr_run -t 10 umount "$SR_SYSROOT" || sr_run -t 10 umount -l "$SR_SYSROOT" || :
    sr_stop "$pidfile" 5 || :
}

# try_mount: status 0 when the root is mounted and can be read. Else $said knows why.
try_mount() {
    [ "$(sr_uptime)" -ge "$next_try" ] || return 1
    set --
    for _try_word in $options $(source_options); do
        set -- "$@" "$_try_word"
    done
    log_size=0
    [ ! -f "$log" ] || log_size=$(wc -c <"$log")
    _try_status=0
    printf 'glusterfs %s\n' "$*" >"$SR_RUN/command"
    sr_try_survive glusterfs --process-name=fuse "--log-level=$SR_GLUSTERFS_LOG_LEVEL" "--log-file=$log" \
        "--pid-file=$pidfile" "$@" "$SR_SYSROOT" || _try_status=$?
    said=$(log_says)
    case $_try_status in
        0)
            # The client says so before it has reached a brick.
            "$SR_TIMEOUT" -k 5 "$SR_GLUSTERFS_TRY_TIMEOUT" test -d "$SR_SYSROOT/." && return 0
            said="the volume can't be read: too few of its bricks can be reached. $said"
            ;;
        124 | 137) said="no end after $SR_GLUSTERFS_TRY_TIMEOUT s. $said" ;;
        *) said="${said:-no glusterd answers} (glusterfs status $_try_status)" ;;
    esac
    undo
    case $said in
        *'failed to fetch volume file'*)
            sr_fail "$servers: there is no volume '${volume%%/*}'" \
                "is the name right? gluster volume list on a server shows what there is; a volume must be started"
            ;;
        *'ubdir'*)
            case $volume in
                */?*) sr_fail "$servers: $said" "is there a folder /${volume#*/} on the volume ${volume%%/*}?" ;;
            esac
            ;;
    esac
    if [ "$said" != "$last_said" ]; then
        last_said=$said
        sr_log "not mounted yet: $said"
    fi
    # The next server's turn to be the first.
    servers=$(printf '%s\n' "$servers" | awk '{ first = $1; sub(/^[^ ]+ */, ""); print $0 ($0 == "" ? "" : " ") first }')
    next_try=$(($(sr_uptime) + SR_GLUSTERFS_PAUSE))
    return 1
}

servers=$SR_GLUSTERFS_SERVER volume=$SR_GLUSTERFS_VOLUME
read_root "$SR_GLUSTERFS_ROOT"
if [ -z "$servers" ] && [ -n "$(sr_get GLUSTER_BRICKS '')" ]; then
    servers=localhost
fi
if [ -z "$SR_GLUSTERFS_VOLFILE" ]; then
    if [ -z "$servers" ] || [ -z "$volume" ]; then
        sr_fail "no GlusterFS volume is named" \
            "give server and volume under [fs] in the cluster file, or root=glusterfs:SERVER:/VOLUME"
    fi
    check_volume
    all=$servers what="the volume $volume of $servers"
elif [ -s "$SR_ROOT$SR_GLUSTERFS_VOLFILE" ]; then
    all=$SR_GLUSTERFS_VOLFILE what="the volume of $SR_GLUSTERFS_VOLFILE"
else
    sr_fail "there is no volume file $SR_GLUSTERFS_VOLFILE in the image" \
        "put it there by a boot module of your own ([install] files), see docs/glusterfs.md"
fi
if why=$(sr_refused SR_GLUSTERFS_OPTIONS "$SR_GLUSTERFS_OPTIONS"); then
    sr_fail "options: $why"
fi
options=$(client_options) ||
    sr_fail "options: the client has none of the words of '$SR_GLUSTERFS_OPTIONS' that glusterfs --help does not list" \
        "compare options under [fs], or rootflags=, with glusterfs --help"

sr_modprobe
mkdir -p "${log%/*}"
sr_survivor glusterfs
export SR_SURVIVE_LIMIT="$SR_GLUSTERFS_TRY_TIMEOUT" SR_SURVIVE_LOG=glusterfs.root
last_said='' said='' next_try=0
sr_hint "does glusterd run there, with TCP 24007 and the bricks' ports open to $(sr_get NET_ADDRESS 'this node')? gluster volume status on a server shows the bricks; the client's log is $log"
if ! sr_wait_for "$SR_GLUSTERFS_TIMEOUT" "$what" try_mount; then
    sr_fail "$what could not be mounted within $SR_GLUSTERFS_TIMEOUT s ($all): $said"
fi
# The kernel knows the client's connection by the file system's minor device number.
connection=$(awk -v point="$SR_SYSROOT" '$5 == point { split($3, number, ":"); found = number[2] } END { print found }' \
    "$SR_PROC/self/mountinfo")
sr_put GLUSTERFS_CONNECTION "$connection"
sr_log "$what is mounted; the client's log is $log"
