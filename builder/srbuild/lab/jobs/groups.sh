# In a container: say what control groups it sees, `TYPE PATH`, and where it is in them.
awk '$3 ~ /^cgroup/ { print $3, $2 }' /proc/mounts
sed 's/^/in /' /proc/self/cgroup
