#!/bin/sh
# apart.sh COMMAND…: run it, in the mount namespace that this was started in, on a root that
# pivot_root(2) can replace. It refuses the one that the kernel unpacked the image to, which has no
# parent, and LXC then only covers it: root in the container could take that cover off. This one is
# of another kind (LXC looks at the type), empty but for the bootstrap's directories, and above the
# other. What replaces it is locked there by the container's user namespace.
set -eu
# shellcheck source=modules/container/lxc/common.sh
. "${0%/*}/common.sh"

over=$SR_ROOT/.over # no part of what is mounted in it
mkdir -p "$over"
mount -t tmpfs -o size=64k,mode=0755 srbuild "$over"
for path in "$SR_ROOT"/*; do
    name=${path##*/}
    if [ -L "$path" ]; then
        ln -s "$(readlink "$path")" "$over/$name"
    elif [ -d "$path" ]; then
        mkdir "$over/$name"
        mount -o rbind "$path" "$over/$name"
    fi
done
mount -o move "$over" "$SR_ROOT/"
exec chroot "$SR_ROOT/.." "$@"
