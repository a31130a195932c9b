#!/bin/sh
# Export one file system with the kernel's NFS server; mountd answers its questions.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"

control=$SR_PROC/fs/nfsd
state=$SR_ROOT/var/lib/nfs

# Start the kernel's threads, with every version off that is not to be served.
start_threads() {
    set --
    for version in 3 4 4.0 4.1 4.2; do
        case ,$SR_NFS_SERVER_VERSIONS, in
            *",$version,"* | *",$version."*) ;;
            *) set -- "$@" --no-nfs-version "$version" ;;
        esac
    done
    sr_run rpc.nfsd --port 2049 "$@" 4
}

[ -n "$SR_NFS_SERVER_DEVICE" ] || exit 0
sr_modprobe
sr_hint "is the device under [nfs-server] in the cluster file this machine's disk?"
sr_wait_for 10 "the disk $SR_NFS_SERVER_DEVICE" test -b "$SR_NFS_SERVER_DEVICE"
mkdir -p "$SR_NFS_SERVER_PATH" "$SR_ROOT/run/rpcbind" "$state/v4recovery"
sr_run mount -t ext4 "$SR_NFS_SERVER_DEVICE" "$SR_NFS_SERVER_PATH"
grep -q " $control " "$SR_PROC/self/mountinfo" || sr_run mount -t nfsd nfsd "$control"

# rpcbind gives up its privileges to this user.
grep -q '^_rpc:' "$SR_ROOT/etc/passwd" || echo '_rpc:x:110:65534::/run/rpcbind:/bin/false' >>"$SR_ROOT/etc/passwd"
touch "$state/etab" "$state/rmtab"
printf '%s %s(%s)\n' "$SR_NFS_SERVER_PATH" "$SR_NFS_SERVER_CLIENTS" "$SR_NFS_SERVER_OPTIONS" >"$SR_ROOT/etc/exports"
sr_run exportfs -r
case ,$SR_NFS_SERVER_VERSIONS, in
    *,3,*) sr_survive rpcbind -w ;;
esac
echo "$SR_NFS_SERVER_GRACE" >"$control/nfsv4gracetime"
echo "$SR_NFS_SERVER_GRACE" >"$control/nfsv4leasetime"
start_threads
sr_survive rpc.mountd --no-udp
sr_log "Serving $SR_NFS_SERVER_DEVICE as $SR_NFS_SERVER_PATH, versions $SR_NFS_SERVER_VERSIONS"
