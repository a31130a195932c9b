# On a node: `yes` or `no`, whether what write-token.sh began under the name $1 is on the disk.
if [ -f "/run/lab.written-$1" ]; then echo yes; else echo no; fi
