# On a node whose bootstrap runs a container of OpenVZ's: vzctl $1 of the container 101, where
# srbuild runs it too, and its exit status.
status=0
chroot /.. vzctl "$1" 101 || status=$?
echo "status $status"
