# Say what the root that is served at $1 has: `shared PATH TEXT` for what other jobs wrote there for
# all nodes to see, `own NODE PATH TEXT` for what nodes have, line ends as a comma.
cd "$1" || exit
told() {
    tr '\n' ',' <"$1"
    echo
}
find . -path ./.srbuild/nodes -prune -o -path ./lab -prune -o -type f -size -2 -exec grep -lE '^shared$| wrote$' {} + |
    sort | while IFS= read -r file; do
        echo "shared ${file#./} $(told "$file")"
    done
for node in .srbuild/nodes/*; do
    (
        cd "$node" || exit
        find . -type f ! -path './.new/*' | sort | while IFS= read -r file; do
            echo "own ${node##*/} ${file#./} $(told "$file")"
        done
    )
done
find .srbuild/local -mindepth 1 | sed 's/^/shared /'
