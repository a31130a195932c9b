# On the node $1: say what its own name's file holds, and write that and a log.
cat /etc/hostname
echo "$1 wrote" >/etc/hostname
echo "$1 wrote" >/var/log/messages
sync
