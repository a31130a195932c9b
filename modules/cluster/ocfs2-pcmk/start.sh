#!/bin/sh
# Have OCFS2 use the cluster stack that dlm_controld is part of. Since Linux 3.14 the kernel needs
# no ocfs2_controld for that: the lock manager tells it which nodes are lost.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"

stack=$SR_SYS/fs/ocfs2/cluster_stack
sr_modprobe
[ -e "$stack" ] || sr_fail "there is no $stack" "is ocfs2_stackglue.ko of the running kernel in the image?"
printf 'pcmk\n' >"$stack" ||
    sr_fail "OCFS2 does not take the cluster stack pcmk" "no OCFS2 file system may be mounted with another one"
sr_put OCFS2_STACK pcmk
sr_log "OCFS2's cluster stack is pcmk"
