#!/bin/sh
# Offer one disk by AoE: one vblade an interface, in user space, on raw packets. It takes the size
# of its frames from the interface's MTU when it starts.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=hooks/lib/addresses.sh
. "$SR_LIB/addresses.sh"

sr_modprobe
sr_hint "is the device under [aoe-target] in the cluster file this machine's disk?"
sr_wait_for 10 "the disk $SR_AOE_TARGET_DEVICE" test -b "$SR_AOE_TARGET_DEVICE"
set --
for nic in $SR_AOE_TARGET_INTERFACE; do
    set -- "$@" "$nic"
done
sr_raise "$SR_AOE_TARGET_MTU" "$@"
address=${SR_AOE_TARGET_TARGET#e}
rm -f "$SR_RUN"/vblade.*
for nic in $raised; do
    # It stays in the foreground. Its words are kept for whoever starts it again.
    set -- -b 64 "${address%.*}" "${address#*.}" "$nic" "$SR_AOE_TARGET_DEVICE"
    printf '%s\n' "$*" >"$SR_RUN/vblade.$nic"
    setsid vblade "$@" </dev/null >"$SR_RUN/$nic.log" 2>&1 &
done
sr_log "Serving $SR_AOE_TARGET_DEVICE as $SR_AOE_TARGET_TARGET on $raised"
