# On the node $1: say what its own name's file holds, and write that, a log, and what cdsltab binds.
cat /etc/hostname
echo "$1 wrote" >/etc/hostname
echo "$1 wrote" >/var/log/messages
echo "$1 wrote" >/srv/own/data
sync
