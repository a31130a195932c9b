# Take this machine's first network card down, as if it were gone for all others.
ip link set eth0 down
