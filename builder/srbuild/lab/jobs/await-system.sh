# On a node with systemd: wait until it has started all, at most $1 seconds; say its state and, should
# they have failed, the names of its units. Fails for another state than `running`.
deadline=$(($(cut -d . -f 1 /proc/uptime) + $1))
while [ "$(cut -d . -f 1 /proc/uptime)" -lt "$deadline" ]; do
    state=$(timeout 20 systemctl is-system-running 2>/dev/null) || :
    case $state in
        running | degraded | maintenance) break ;;
    esac
    sleep 1
done
echo "state ${state:-unknown}"
systemctl --failed --plain --no-legend | sed 's/^/failed /'
[ "$state" = running ]
