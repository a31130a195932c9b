# On the root that is served at $1: make $3, a path without its first slash, a dir with a file in it or
# a file as $2 says, which says that it is shared.
cd "$1" || exit
if [ "$2" = dir ]; then
    mkdir -p "$3"
    echo shared >"$3/of-all"
else
    mkdir -p "$(dirname "$3")"
    rm -f "$3"
    echo shared >"$3"
fi
