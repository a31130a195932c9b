#!/bin/sh
# Share one file system with Samba; its only user is root, with the password from the cluster file.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"

[ -n "$SR_SAMBA_SERVER_DEVICE" ] || exit 0
sr_modprobe
sr_hint "is the device under [samba-server] in the cluster file this machine's disk?"
sr_wait_for 10 "the disk $SR_SAMBA_SERVER_DEVICE" test -b "$SR_SAMBA_SERVER_DEVICE"
mkdir -p "$SR_SAMBA_SERVER_PATH" "$SR_ROOT/run/samba" "$SR_ROOT/run/lock/samba"
sr_run mount -t ext4 "$SR_SAMBA_SERVER_DEVICE" "$SR_SAMBA_SERVER_PATH"
sr_run smbpasswd -s -a root <"$SR_ETC/samba-server.secret"
sr_survive smbd -D
sr_log "Serving $SR_SAMBA_SERVER_DEVICE as the share $SR_SAMBA_SERVER_SHARE"
