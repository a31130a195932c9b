# On a node: change the directory of tokens, so that this node ($1) holds its lock alone.
echo "$1" >/tokens/last
sync
