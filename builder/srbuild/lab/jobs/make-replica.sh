# Make a volume $1 of this machine's brick and one on $2, on which the majority, or the half with
# the first brick, may write; and fill it with the lab's root.
gluster --mode=script peer probe "$2"
left=300
until gluster --mode=script peer status | grep -q '^State: Peer in Cluster (Connected)'; do
    left=$((left - 1))
    [ "$left" -gt 0 ]
    sleep 0.1
done
gluster --mode=script volume create "$1" replica 2 "$(hostname):/gluster/brick" "$2:/gluster/brick"
gluster --mode=script volume set "$1" cluster.quorum-type auto
gluster --mode=script volume set "$1" network.ping-timeout 10
gluster --mode=script volume start "$1"
sh -eu /lab/jobs/fill-gluster.sh "$1"
