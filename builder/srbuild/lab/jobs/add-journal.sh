# On a node: one more journal for the shared root, with the bootstrap's tools; its links lead to
# its own root, so the loader is looked for as a file.
here=/run/initramfs
loader=$(find "$here/usr/lib" "$here/usr/lib64" -type f -name 'ld-linux-*.so.*' 2>/dev/null | head -n 1)
paths=$(find "$here/usr/lib" "$here/usr/lib64" -name 'lib*.so*' 2>/dev/null | sed 's|/[^/]*$||' | sort -u | tr '\n' ':')
"$loader" --library-path "$paths" "$here/usr/sbin/gfs2_jadd" -J 32 -j 1 /
