# On a node whose bootstrap runs a container: wait until it does not run and is not to, at most $1
# seconds; say what srctl says of it.
deadline=$(($(cut -d . -f 1 /proc/uptime) + $1))
until ! srctl status --json >/run/lab.status 2>&1 && grep -q '"state": "stopped"' /run/lab.status; do
    if [ "$(cut -d . -f 1 /proc/uptime)" -ge "$deadline" ]; then
        cat /run/lab.status
        exit 1
    fi
    usleep 200000
done
cat /run/lab.status
