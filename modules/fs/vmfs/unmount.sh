#!/bin/sh
# Unmount the root, let go of the disk image and close the datastore.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=hooks/lib/root.sh
. "$SR_LIB/root.sh"

# Print the process that has the datastore open.
reader() {
    for process in "$SR_PROC"/[0-9]*; do
        case $(tr '\0' ' ' <"$process/cmdline" 2>/dev/null) in
            '@/vmfs-fuse '* | '@/vmfs6-fuse '*) echo "${process##*/}" ;;
        esac
    done
}

closed() {
    [ -z "$(reader)" ]
}

sr_root_unmount
loop=$(sr_get VMFS_LOOP '')
if [ -n "$loop" ] && ! sr_run losetup -d "$loop"; then
    sr_warn "$loop could not be let go of"
fi
if grep -q " $SR_RUN/vmfs " "$SR_PROC/self/mountinfo"; then
    sr_run -t 20 umount "$SR_RUN/vmfs" || sr_warn "$SR_RUN/vmfs is still in use"
fi
# It ends with its last mount. After a shutdown that may be one of the boot's own, which the
# bootstrap can't reach any more; it has nothing to write, so ending it loses nothing.
if ! closed; then
    reader | xargs kill -TERM || :
    sr_wait_for 10 "the end of vmfs-fuse" closed
fi
sr_log "the datastore is closed"
