# Put the token $3 of $2 into the file system that is exported from $1, as if $2 were a node.
echo "$3" >"$1/tokens/$2"
sync
