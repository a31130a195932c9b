#!/bin/sh
# FCoE loses no frame by design, and nothing sends one again: SCSI notices by a timeout of 30 s. The
# usual queue of a card, fq_codel, drops what comes too fast, which a few megabytes of writes do.
# So cards get a plain first-in-first-out queue, before any is up: later they keep what they have.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"

echo pfifo_fast >"$SR_PROC/sys/net/core/default_qdisc"
