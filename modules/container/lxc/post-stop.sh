#!/bin/sh
# LXC calls this at every end of the container, its reboot too. lxc-start would start that again by
# itself, with the policy asked nothing and the same log: it is ended here instead, when nothing of
# the container is left (its cgroups and network are gone by now).
set -eu

run=${SR_RUN:-/run/srbuild}/lxc
printf '%s\n' "${LXC_TARGET:-unknown}" >"$run/target.new"
mv "$run/target.new" "$run/target"
[ "${LXC_TARGET:-}" != reboot ] || kill -KILL "$PPID"
