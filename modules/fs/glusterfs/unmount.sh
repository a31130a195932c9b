#!/bin/sh
# Unmount the root, if it still is, and end the client. Where the bricks are gone for good, what
# waits for them is ended by the kernel (Documentation/filesystems/fuse.rst, "abort").
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=hooks/lib/root.sh
. "$SR_LIB/root.sh"

pidfile=$SR_ROOT/run/glusterfs.root.pid
connections=$SR_SYS/fs/fuse/connections

ended() {
    ! sr_alive "$pidfile"
}

abort() {
    _abort_connection=$(sr_get GLUSTERFS_CONNECTION '')
    [ -n "$_abort_connection" ] || return 0
    [ -e "$connections/$_abort_connection" ] || sr_run mount -t fusectl fusectl "$connections" || return 0
    [ -e "$connections/$_abort_connection/abort" ] || return 0
    sr_warn "the volume does not answer: what still waits for it is given up"
    echo 1 >"$connections/$_abort_connection/abort"
}

if grep -q " $SR_SYSROOT " "$SR_PROC/self/mountinfo"; then
    sr_run -t 20 umount "$SR_SYSROOT" || abort
    sr_root_let_go
fi
# Once nothing is mounted of it, the client ends by itself.
if ! sr_wait_for 5 "the end of the GlusterFS client" ended 2>/dev/null; then
    abort
    sr_stop "$pidfile" 10
fi
sr_log "the root is unmounted, the client has ended"
