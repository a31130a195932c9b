#!/bin/sh
# Mount the shared root from an OCFS of the first release. Its kmod is loaded with what
# /etc/ocfs.conf says of this node; load_ocfs knows how.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=hooks/lib/root.sh
. "$SR_LIB/root.sh"

[ -s "$SR_ROOT/etc/ocfs.conf" ] || sr_fail "there is no /etc/ocfs.conf" "build the site part from a cluster file"
sr_root_device "$SR_OCFS_DEVICE"
sr_hint "what load_ocfs said stands above; is the guid of /etc/ocfs.conf this node's own?"
sr_run -t 60 load_ocfs
sr_hint "what the kernel said last stands above"
options=$(sr_root_access)${SR_OCFS_OPTIONS:+,$SR_OCFS_OPTIONS}
sr_root_mount "$SR_OCFS_TIMEOUT" ocfs "$device" "$options"
