# On a node whose bootstrap runs a container: have the file system at $1 take no writes any more.
busybox fsfreeze --freeze "$1"
