# Write the files that belong to this node, $1, each as a system does: over, onto its end, anew.
echo "$1 wrote" >/etc/hostname
echo "$1 wrote" >>/etc/machine-id
echo "$1 wrote" >/etc/adjtime
echo "$1 wrote" >>/var/log/messages
echo "$1 wrote" >/var/log/rotated.new
mv /var/log/rotated.new /var/log/rotated
echo "$1 wrote" >/etc/resolv.conf
echo "$1 wrote" >"/tmp/of-$1"
echo "$1 wrote" >"/etc/shared-of-$1"
# It cannot be replaced, which would be on the shared root, silently.
if mv "/tmp/of-$1" /etc/hostname 2>/dev/null; then
    echo "replaced /etc/hostname"
fi
sync
