# On the node $1: write all that is its own, each file over, and a file in each directory; say `wrote
# dir|file PATH` of each.
tab=$(printf '\t')
while IFS=$tab read -r kind _ target; do
    case $kind in
        dir) echo "$1 wrote" >"/$target/of-$1" ;;
        file) echo "$1 wrote" >"/$target" ;;
        *) continue ;;
    esac
    echo "wrote $kind $target"
done </run/srbuild/local/mounts
sync
