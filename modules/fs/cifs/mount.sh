#!/bin/sh
# Mount the shared root from an SMB server. Over SMB 1 with Unix extensions the root is writable;
# over SMB 3 it can only be read, so that what a node writes goes to memory. No helper runs:
# what mount.cifs would add, the server's address and the share's UNC name, is added here.
set -eu
set -f # no patterns: an IPv6 address in brackets would be one
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=hooks/lib/root.sh
. "$SR_LIB/root.sh"
# shellcheck source=hooks/lib/names.sh
. "$SR_LIB/names.sh"

credentials=$SR_ETC/cifs.credentials
tab=$SR_RUN/cifs.tab
# --- what to mount ----------------------------------------------------------------------------

# read_parameter NAME TEXT: set share and options from //SERVER/SHARE[,OPTIONS].
read_parameter() {
    case $2 in
        *@* | *pass=* | *password=* | *pass2=*)
            sr_fail "$1= holds a user or a password" \
                "everybody can read the kernel's command line: put user and secret into the cluster file"
            ;;
    esac
    share=${2%%,*}
    _parameter_options=${2#"$share"}
    _parameter_options=${_parameter_options#,}
    [ -n "$_parameter_options" ] || return 0
    if ! sr_check_flags "$_parameter_options"; then
        sr_fail "$1=$2: '$_parameter_options' are no mount options"
    elif _parameter_why=$(sr_refused SR_CIFS_OPTIONS "$_parameter_options"); then
        sr_fail "$1=$2: $_parameter_why" "drop it"
    fi
    options=$_parameter_options
}

# Take $share apart into $server, $unc (\\SERVER\SHARE), $prefix, the folder below, if any, and
# $source, the share without the server's port: newer kernels read that, older ones the others.
split_share() {
    _split_rest=${share#//}
    server=${_split_rest%%/*}
    _split_rest=${_split_rest#"$server"}
    _split_rest=${_split_rest#/}
    _split_name=${_split_rest%%/*}
    prefix=${_split_rest#"$_split_name"}
    prefix=${prefix#/}
    case $share in
        *\\* | *,* | */../* | */..) return 1 ;;
        //?*/?*) ;;
        *) return 1 ;;
    esac
    sr_check_endpoint "$server" && sr_check_path "/$_split_name/$prefix" && [ -n "$_split_name" ] || return 1
    sr_endpoint "$server"
    unc="\\\\$endpoint_host\\$_split_name"
    source=//$endpoint_host/$_split_name${prefix:+/$prefix}
}

# --- mounting ---------------------------------------------------------------------------------

# Encode a field of fstab(5): stdin without its line end.
tab_field() {
    sed 's/\\/\\134/g; s/ /\\040/g'
}

# Set $login to the mount options that say who we are.
read_login() {
    login=guest user='' domain='' secret=''
    [ -f "$credentials" ] || return 0
    {
        IFS= read -r user || :
        IFS= read -r domain || :
        IFS= read -r secret || :
    } <"$credentials"
    case $user$domain$secret in
        *,*)
            sr_fail "the user, the domain or the secret for $share holds a comma" \
                "a mount option ends at one: give this user another password"
            ;;
    esac
    [ -n "$user" ] || return 0
    login=username=$user,password=$secret${domain:+,domain=$domain}
}

# try_dialect OPTIONS: one mount. The password stands neither among the words of a command, where
# other processes could read it, nor in /proc/mounts: mount reads it from a table that only root
# can read and that is gone afterwards. Status 0: mounted; else $said has the reason.
try_dialect() {
    _try_options="$access,hard,$1,ip=$address${endpoint_port:+,port=$endpoint_port},unc=$unc"
    _try_options="$_try_options${prefix:+,prefixpath=$prefix}${options:+,$options}"
    (
        umask 077
        printf '%s %s cifs %s 0 0\n' "$(printf '%s' "$source" | tab_field)" \
            "$(printf '%s' "$SR_SYSROOT" | tab_field)" \
            "$(printf '%s,%s' "$_try_options" "$login" | tab_field)" >"$tab"
    )
    _try_status=0
    sr_run -t "$SR_CIFS_TRY_TIMEOUT" mount -i -T "$tab" "$SR_SYSROOT" >"$SR_RUN/cifs.said" 2>&1 || _try_status=$?
    rm -f "$tab"
    [ "$_try_status" -ne 0 ] || return 0
    said=$(tail -n 1 "$SR_RUN/cifs.said" | sr_printable)
    said=${said##*failed: }
    case $_try_status in
        124 | 137) said="no answer within $SR_CIFS_TRY_TIMEOUT s" ;;
    esac
    return 1
}

# What $said of the last attempt is of no use to try again.
give_up() {
    case $said in
        *denied*)
            sr_fail "$share: the server refused the login of ${user:-a guest}: $said" \
                "compare user, domain and secret with the server's; may this user read the share?"
            ;;
        *'No such file'* | *'o such device'*)
            sr_fail "$share: the server has no such share or folder: $said" \
                "smbclient -L //$server lists the server's shares"
            ;;
        *'Invalid argument'*)
            dmesg | tail -n 3 | sr_printable
            sr_fail "$share: the kernel did not take the mount's options: $options" \
                "what it said stands above; correct options under [fs]"
            ;;
        *'not supported'*)
            sr_fail "$share: the server does not take SMB $SR_CIFS_VERSION: $said" \
                "set version under [fs]; of a Samba server: server min protocol and server max protocol"
            ;;
    esac
}

# One attempt, $SR_CIFS_PAUSE seconds after the one before.
try_share() {
    [ "$(sr_uptime)" -ge "$next_try" ] || return 1
    said="the server's name has no address"
    if _share_addresses=$(sr_addresses "$endpoint_host"); then
        for address in $_share_addresses; do
            case $SR_CIFS_VERSION in
                1) try_dialect vers=1.0 && return 0 ;;
                *)
                    try_dialect vers=3.1.1,posix && return 0
                    case $said in
                        *'not supported'*) try_dialect vers=3,mfsymlinks && return 0 ;;
                    esac
                    ;;
            esac
            give_up
        done
    fi
    next_try=$(($(sr_uptime) + SR_CIFS_PAUSE))
    if [ "$said" != "$last_said" ]; then
        last_said=$said
        sr_log "not mounted yet: $share: $said"
    fi
    return 1
}

# The options that the mounted root has, as the kernel tells them.
mounted_options() {
    awk -v point="$SR_SYSROOT" '$2 == point && $3 == "cifs" { found = $4 } END { print "," found "," }' \
        "$SR_PROC/mounts"
}

share=$SR_CIFS_SHARE options=$SR_CIFS_OPTIONS
case $SR_CIFS_ROOT in
    '' | /dev/cifs) ;;
    cifs://*) read_parameter root "${SR_CIFS_ROOT#cifs:}" ;;
    *)
        sr_fail "root=$SR_CIFS_ROOT: this image mounts its root over SMB" \
            "write root=cifs://SERVER/SHARE, or drop it and use the cluster file"
        ;;
esac
[ -z "$SR_CIFS_CIFSROOT" ] || read_parameter cifsroot "$SR_CIFS_CIFSROOT"
if [ -z "$share" ]; then
    sr_fail "no share is named" "give share under [fs] in the cluster file, or root=cifs://SERVER/SHARE"
fi
split_share || sr_fail "'$share' is not //SERVER/SHARE[/FOLDER]" "correct share under [fs] in the cluster file"

read_login
access=$(sr_root_access)
overlay=$SR_CIFS_OVERLAY
if [ "$SR_CIFS_VERSION" != 1 ]; then
    [ "$overlay" = 1 ] ||
        sr_log "over SMB 3 there are no owners, sockets and device nodes, and no renaming of open files:" \
            "the root is read-only, and what this node writes stays in memory until it goes down"
    overlay=1
fi
[ "$overlay" = 0 ] || access=ro

sr_modprobe
next_try=0 last_said=
if ! sr_wait_for "$SR_CIFS_TIMEOUT" "the share $share" try_share; then
    sr_fail "$share could not be mounted within $SR_CIFS_TIMEOUT s: $last_said" \
        "is the server up at TCP port ${endpoint_port:-445}, and does a route lead there from $(sr_get NET_ADDRESS 'this node')? One that does not take SMB $SR_CIFS_VERSION may answer like one that is down"
fi
if [ "$SR_CIFS_VERSION" = 1 ]; then
    case $(mounted_options) in
        *,unix,*) ;;
        *)
            sr_root_let_go
            sr_fail "the server of $share has no Unix extensions" \
                "of a Samba server: unix extensions = yes; or set version = \"3\" under [fs]"
            ;;
    esac
fi
sr_log "$share is mounted from $address by SMB $SR_CIFS_VERSION, $access"
[ "$overlay" = 0 ] || sr_root_overlay
