#!/bin/sh
# In the container: its host name ($HOSTNM), for the kernel alone; /etc/hostname is the node's own
# (module local) and stays as it is.
set -eu
[ -z "${HOSTNM:-}" ] || hostname "$HOSTNM"
exit 0
