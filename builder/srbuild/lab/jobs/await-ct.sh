# On a node whose bootstrap runs a container: wait until it was started for the $1-th time and runs,
# at most $2 seconds; say what srctl says of it.
deadline=$(($(cut -d . -f 1 /proc/uptime) + $2))
until srctl status --json >/run/lab.status 2>&1 && [ "$(cat /run/srbuild/ct/starts)" -ge "$1" ]; do
    if [ "$(cut -d . -f 1 /proc/uptime)" -ge "$deadline" ]; then
        cat /run/lab.status
        srctl logs 40
        exit 1
    fi
    usleep 200000
done
cat /run/lab.status
