# On a node's root: write on a file and in a directory that the nodes share, so that the locks on
# them have to come here.
echo "$(hostname) $(cut -d ' ' -f 1 /proc/uptime)" >>/shared
hostname >"/seen/.$(hostname)"
mkdir -p "/shared.d"
touch "/shared.d/$(hostname)"
sync
