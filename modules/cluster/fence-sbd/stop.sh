#!/bin/sh
# End sbd, which disarms the watchdog: else it would reset the machine in the middle of its end.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"

sr_stop "$SR_RUN/sbd.pid" 20
