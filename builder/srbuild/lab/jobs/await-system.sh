# On a node with systemd: wait until it has started all, at most $1 seconds; say its state and, should
# they have failed, the names of its units. Fails for another state than `running`.
state=$(timeout "$1" systemctl is-system-running --wait) || :
echo "state ${state:-unknown}"
systemctl --failed --plain --no-legend | sed 's/^/failed /'
[ "$state" = running ]
