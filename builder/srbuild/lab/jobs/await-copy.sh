# On a node with a brick: wait, at most 100 s, until the brick's own copy of node $1's token is $2.
copy=/proc/$(pidof glusterd)/root/gluster/brick/tokens/$1
now() {
    cut -d . -f 1 /proc/uptime
}
end=$(($(now) + 100))
until [ "$(cat "$copy" 2>/dev/null)" = "$2" ]; do
    [ "$(now)" -lt "$end" ]
    sleep 1
done
