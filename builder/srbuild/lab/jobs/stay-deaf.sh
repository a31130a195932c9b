# On a node: a daemon that holds a file of the root open, writes to it and takes no signal but KILL.
sh -c 'trap "" TERM HUP INT; while :; do echo on; usleep 200000; done' </dev/null >/tokens/deaf.log 2>&1 &
