#!/bin/sh
# The lab's agent: runs the jobs that the host names on the second serial port, one line each,
# until it is told to power off or, on a node's root, to leave (`leave VERB`, or poweroff). The
# protocol is written down in builder/srbuild/lab/server.py.
#
# With the kernel parameter lab.agent=beside the boot goes on beside it.
set -eu

if [ -z "${1-}" ] && grep -q 'lab\.agent=beside' /proc/cmdline; then
    setsid sh -eu "$0" beside </dev/null >/dev/console 2>&1 &
    exit 0
fi

# Where the first port is the board's own (console ttyAMA0), the second is the first card's.
case $(uname -m) in
    aarch64) port=/dev/ttyS0 ;;
    *) port=/dev/ttyS1 ;;
esac
jobs=/lab/jobs
output=/run/lab.output

# Run job $2 with the words $3…; answer under the tag $1.
answer() {
    tag=$1 job=$2
    shift 2
    case $job in
        '' | *[!a-z0-9-]*) echo "no job can have this name" >"$output"; status=126 ;;
        *)
            status=0
            timeout 600 sh -eu "$jobs/$job.sh" "$@" >"$output" 2>&1 || status=$?
            ;;
    esac
    sed "s/^/$tag > /" "$output" >&3
    echo "$tag = $status" >&3
}

exec 3<>"$port"
stty raw -echo <&3
echo ready >&3
echo "srbuild: the lab agent listens on $port"
while read -r tag job first second third <&3; do
    case $tag in
        hello) echo ready >&3 ;;
        *[!0-9]* | '') ;;
        *)
            if [ "$job" = poweroff ]; then
                echo "$tag = 0" >&3
                sync
                poweroff -f
            fi
            if [ "$job" = leave ]; then
                echo "${first:-poweroff}" >/run/lab.verb
                echo "$tag = 0" >&3
                exit 0
            fi
            answer "$tag" "$job" "$first" "$second" "$third"
            ;;
    esac
done
echo "srbuild: the lab's host is gone" >&2
exit 1
