# In a container with systemd: change what belongs to the node $1, as administrators and programs do, and
# say who this is: `name`, `id`, `address` and what became of hostnamectl. Something goes on writing to
# the log as long as the container has processes.
how=obeyed
hostnamectl set-hostname "$1-renamed" >/run/lab.said 2>&1 || how=refused
echo "hostnamectl $how"
[ "$how" = obeyed ] || echo "$1-renamed" >/etc/hostname
systemd-machine-id-setup >/dev/null 2>&1
printf '0.0 0 0.0\n%s\n' "$1" >/etc/adjtime
echo "# of $1" >/etc/resolv.conf
echo "$1 wrote" >/var/log/of-node
logger "$1 wrote"
journalctl --sync
systemd-run --quiet --unit=lab-late -p DefaultDependencies=no -p IgnoreOnIsolate=yes -p KillMode=none \
    /bin/sh -c "while :; do echo of $1; sleep 0.05; done >>/var/log/late-$1"
echo "name $(hostname)"
echo "id $(cat /etc/machine-id)"
ip -o -4 address show dev eth0 | awk '{ print "address", $4 }'
