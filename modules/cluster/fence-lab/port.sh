#!/bin/sh
# Have the driver of the port that leads to the lab's host.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"

sr_modprobe
