# shellcheck shell=sh
# hostcopy.sh FROM TO TEST…: copy what find(1) finds with TEST… in the directory FROM to the
# directory TO, with owners, modes and times, on one file system. A process of its own, under
# timeout. The list and the archive are files beside TO: a pipe would hide a failure.
from=$1 to=$2
shift 2
archive=$to.cpio
names=$SR_RUN/local/names.$$
cd -P "$from" || exit
find . -xdev "$@" -print0 >"$names"
cpio -0 -o -H newc <"$names" >"$archive" 2>"$names.said" || {
    cat "$names.said" >&2
    exit 1
}
cd -P "$to" || exit
cpio -i -d -m -u <"$archive" 2>"$names.said" || {
    cat "$names.said" >&2
    exit 1
}
rm "$archive" "$names" "$names.said"
