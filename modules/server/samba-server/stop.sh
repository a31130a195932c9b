#!/bin/sh
# Stop Samba and let go of its disk; nothing when it does not run.
set -eu

path=$(sed -n 's/^path = //p' /etc/samba/smb.conf 2>/dev/null) || exit 0
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"

none_left() {
    ! killall -0 -q smbd
}

killall -q smbd || :
sr_wait_for 10 "the end of smbd" none_left || killall -q -KILL smbd || :
if grep -q " $path " /proc/self/mountinfo; then
    umount "$path"
fi
