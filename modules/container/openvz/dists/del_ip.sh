#!/bin/sh
# In the container: take addresses ($IP_ADDR, or all) off venet0.
set -eu
device=${NETDEV:-venet0}
command -v ip >/dev/null || exit 0
[ -d "/sys/class/net/$device" ] || exit 0
if [ "${IPDEL:-}" = all ]; then
    ip address flush dev "$device"
fi
for address in ${IP_ADDR:-}; do
    ip address del "$address" dev "$device" 2>/dev/null || :
done
exit 0
