#!/bin/sh
# Mount the shared root from the first NFS server that answers. Servers that do not are tried again
# until the deadline; what a server refuses twice, with none left that could still come, is an
# error. No helper runs, neither here nor later: the kernel asks mountd itself (version 3) or needs
# none (version 4).
set -eu
set -f # no patterns: an IPv6 address in brackets would be one
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=hooks/lib/root.sh
. "$SR_LIB/root.sh"
# shellcheck source=hooks/lib/names.sh
. "$SR_LIB/names.sh"
# shellcheck source=hooks/lib/ip.sh
. "$SR_LIB/ip.sh"

# --- what to mount ----------------------------------------------------------------------------

# wrong_source PARAMETER TEXT WHY
wrong_source() {
    sr_fail "$1=$2: $3" \
        "write root=nfs:[SERVER:]PATH[:OPTIONS], or nfsroot=[SERVER:]PATH[,OPTIONS]; or drop it and use the cluster file"
}

# Take the version out of the mount options $1, keep the rest in $options.
read_options() {
    options=
    _options_rest=$1,
    while [ -n "$_options_rest" ]; do
        _options_word=${_options_rest%%,*}
        _options_rest=${_options_rest#*,}
        case $_options_word in
            '' | auto) ;;
            vers=* | nfsvers=*) version=${_options_word#*=} ;;
            v[34] | v4.[012]) version=${_options_word#v} ;;
            *) options=$options${options:+,}$_options_word ;;
        esac
    done
    case $version in
        '' | 3 | 4 | 4.[012]) ;;
        *) return 1 ;;
    esac
}

# read_source PARAMETER TEXT: set servers, path, version and options from
# [nfs:|nfs4:][SERVER:]PATH[:OPTIONS] or [SERVER:]PATH[,OPTIONS]; SERVER may be left out.
read_source() {
    case $2 in
        nfs4:*) version=4 ;;
    esac
    _source_rest=${2#nfs:}
    _source_rest=${_source_rest#nfs4:}
    _source_server=
    case $_source_rest in
        /*) ;;
        '['*']:/'*)
            _source_server=${_source_rest%%']:'*}]
            _source_rest=${_source_rest#*']:'}
            ;;
        *:/*)
            _source_server=${_source_rest%%:*}
            _source_rest=${_source_rest#*:}
            ;;
        *) wrong_source "$1" "$2" "there is no path that begins with / in it" ;;
    esac
    path=${_source_rest%%[:,]*}
    _source_rest=${_source_rest#"$path"}
    _source_options=${_source_rest#[:,]}
    case $path in
        *%*) wrong_source "$1" "$2" "a root that all nodes share has one path, without %" ;;
    esac
    sr_check_path "$path" || wrong_source "$1" "$2" "'$path' is no path"
    if [ -n "$_source_options" ]; then
        sr_check_flags "$_source_options" || wrong_source "$1" "$2" "'$_source_options' are no mount options"
        read_options "$_source_options" || wrong_source "$1" "$2" "there is no NFS version '$version'"
        if _source_why=$(sr_refused SR_NFS_OPTIONS "$options"); then
            wrong_source "$1" "$2" "$_source_why"
        fi
    fi
    if [ -n "$_source_server" ]; then
        sr_check_endpoint "$_source_server" || wrong_source "$1" "$2" "'$_source_server' is no server"
        servers=$_source_server
    fi
    [ -n "$servers" ] || servers=$(boot_server)
}

# Print the server that ip= or DHCP names for everything; nothing when they don't.
boot_server() {
    for _boot_parameter in $SR_NETWORK_IP; do
        if sr_ip_parse "$_boot_parameter" && [ -n "$ip_server" ]; then
            sr_bracket "$ip_server"
            return 0
        fi
    done
    sr_get DHCP_SERVER ''
}

# read_root PARAMETER TEXT
read_root() {
    case $2 in
        '' | /dev/nfs | nfs | nfs4) ;;
        nfs:* | nfs4:*) read_source "$1" "$2" ;;
        dhcp | dhcp6 | any)
            _root_path=$(sr_get DHCP_ROOT_PATH '')
            [ -n "$_root_path" ] ||
                sr_fail "$1=$2, but the DHCP server named no root" "set its option root-path (17) to SERVER:PATH"
            sr_log "the DHCP server says: $_root_path"
            read_source "the DHCP server's root-path" "$_root_path"
            ;;
        *) wrong_source "$1" "$2" "this image mounts its root over NFS" ;;
    esac
}

# --- mounting ---------------------------------------------------------------------------------

# Load the kernel modules for the version $1; those of another one only once it is tried.
load_kmods() {
    case $1 in
        3) set -- nfs nfsv3 ;;
        *) set -- nfs nfsv4 ;;
    esac
    [ "$2" != "${kmods-}" ] || return 0
    kmods=$2
    [ "$SR_NFS_OVERLAY" = 0 ] || set -- "$@" overlay
    sr_modprobe "$@"
}

# The mount options of the version $1 at the port $2, which may be empty. Locks of version 3 are
# this node's own: those between nodes would need rpc.statd.
mount_options() {
    _mount_words=$access,hard,vers=$1,proto=${family}${2:+,port=$2}
    [ "$1" != 3 ] || _mount_words=$_mount_words,nolock,mountproto=$family
    printf '%s\n' "$_mount_words${options:+,$options}"
}

# try_address ADDRESS PORT: status 0 when the root is mounted. Else $said has the reason, and
# $final is 1 when trying again is of no use.
try_address() {
    case $1 in
        *:*) family=tcp6 ;;
        *) family=tcp ;;
    esac
    final=0 said="the server takes none of the versions $versions"
    for used in $versions; do
        load_kmods "$used"
        _try_status=0
        sr_run -t "$SR_NFS_TRY_TIMEOUT" mount -i -t nfs -o "$(mount_options "$used" "$2")" \
            "$(sr_bracket "$1"):$path" "$SR_SYSROOT" >"$SR_RUN/nfs.said" 2>&1 || _try_status=$?
        [ "$_try_status" -ne 0 ] || return 0
        said=$(tail -n 1 "$SR_RUN/nfs.said" | sr_printable)
        said=${said##*failed: }
        case $_try_status in
            124 | 137) said="no answer within $SR_NFS_TRY_TIMEOUT s" ;;
        esac
        case $said in
            *[Pp]rotocol*' not supported'*)
                said="the server takes none of the versions $versions"
                continue
                ;;
            *'peration not supported'*)
                said="its rpcbind knows of no NFS $used"
                return 1
                ;;
            'no answer'* | *refused* | *'timed out'* | *'o route'* | *unreachable* | *' is down'* | \
                *'nput/output error'* | *reset* | *temporarily* | *'ransport endpoint'* | *tale*) return 1 ;;
        esac
        final=1
        return 1
    done
    final=1
    return 1
}

# try_server SERVER: status 0 when the root is mounted from it. Else $report and $open know why.
try_server() {
    sr_endpoint "$1"
    if ! _server_addresses=$(sr_addresses "$endpoint_host"); then
        report="$report$1: its name has no address; "
        open=1
        return 1
    fi
    for address in $_server_addresses; do
        try_address "$address" "$endpoint_port" && return 0
        report="$report$1: $said; "
        [ "$final" = 1 ] || open=1
    done
    return 1
}

# One round over the servers, $SR_NFS_PAUSE seconds after the one before.
try_servers() {
    [ "$(sr_uptime)" -ge "$next_round" ] || return 1
    report='' open=0
    for server in $servers; do
        try_server "$server" && return 0
    done
    next_round=$(($(sr_uptime) + SR_NFS_PAUSE))
    report=${report%; }
    if [ "$report" != "$last_report" ]; then
        last_report=$report
        sr_log "not mounted yet: $report"
    elif [ "$open" = 0 ]; then
        sr_fail "the export $path is not to be had: $report" \
            "is it exported to $(sr_get NET_ADDRESS 'this node'), under this name? exportfs -v on the server lists the exports; version 4 counts from the one with fsid=0"
    fi
    return 1
}

servers=$SR_NFS_SERVER path=$SR_NFS_PATH version=$SR_NFS_VERSION options=$SR_NFS_OPTIONS
read_root root "$SR_NFS_ROOT"
read_root netroot "${SR_NFS_NETROOT-}"
[ -z "$SR_NFS_NFSROOT" ] || read_source nfsroot "$SR_NFS_NFSROOT"
if [ -z "$servers" ] || [ -z "$path" ]; then
    sr_fail "no NFS export is named" \
        "give server and path under [fs] in the cluster file, or root=nfs:SERVER:PATH"
fi
case $version in
    '') versions='4.2 4.1 4.0 3' ;;
    4) versions='4.2 4.1 4.0' ;;
    *) versions=$version ;;
esac
access=$(sr_root_access)
[ "$SR_NFS_OVERLAY" = 0 ] || access=ro

next_round=0 last_report=
if ! sr_wait_for "$SR_NFS_TIMEOUT" "the export $path of $servers" try_servers; then
    sr_fail "the export $path could not be mounted within $SR_NFS_TIMEOUT s: $last_report" \
        "is the server up, and does a route lead there from $(sr_get NET_ADDRESS 'this node')? ping it; version 4 needs TCP port 2049 open, version 3 also rpcbind's and mountd's"
fi
sr_log "$server:$path is mounted from $address by NFS $used, $access"

if [ "$SR_NFS_OVERLAY" = 1 ]; then
    sr_root_overlay
elif [ "$access" = rw ] && ! sr_run -t "$SR_NFS_TRY_TIMEOUT" test -w "$SR_SYSROOT"; then
    sr_root_let_go
    sr_fail "$server exports $path, but this node's root may not write there" \
        "export it with rw,no_root_squash to this node; or boot with overlay = true under [fs]"
fi
