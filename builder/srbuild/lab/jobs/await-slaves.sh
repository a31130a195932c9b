# Wait, at most 30 s, until $2 slaves of the bond $1 have a link.
left=300
until [ "$(grep -c '^MII Status: up' "/proc/net/bonding/$1")" -gt "$2" ]; do
    left=$((left - 1))
    [ "$left" -gt 0 ]
    sleep 0.1
done
