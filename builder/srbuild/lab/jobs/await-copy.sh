# On a node with a brick: wait, at most 100 s, until the brick's own copy of the file $1 has the
# word $2 in it.
copy=/proc/$(pidof glusterd)/root/gluster/brick/$1
now() {
    cut -d . -f 1 /proc/uptime
}
end=$(($(now) + 100))
until grep -qF -- "$2" "$copy" 2>/dev/null; do
    [ "$(now)" -lt "$end" ]
    sleep 1
done
