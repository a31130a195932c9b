# Say what the root that is served at $1 has: `shared PATH TEXT` for what all nodes see where none
# has its own, `own NODE PATH TEXT` for what nodes have, line ends as a comma.
cd "$1" || exit
told() {
    tr '\n' ',' <"$1"
    echo
}
for file in etc/hostname etc/machine-id etc/adjtime etc/shared-of-* var/log/* tmp/*; do
    [ ! -f "$file" ] || echo "shared $file $(told "$file")"
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
