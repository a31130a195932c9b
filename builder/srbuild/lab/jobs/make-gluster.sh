# Make a volume $1 of one brick on /dev/vda, for the server $2, and fill it with the lab's root.
sh -eu /lab/jobs/make-brick.sh
export SR_MODULE=gluster-bricks SR_GLUSTER_BRICKS_DEVICE=/dev/vda SR_GLUSTER_BRICKS_OPTIONS=noatime SR_GLUSTER_BRICKS_DISK_TIMEOUT=10
export SR_GLUSTER_BRICKS_LOG_LEVEL=WARNING SR_GLUSTER_BRICKS_WAIT_FOR_ALL=1 SR_GLUSTER_BRICKS_PEER_TIMEOUT=0
sh -eu /usr/lib/srbuild/modules/gluster-bricks/disk.sh
sh -eu /usr/lib/srbuild/modules/gluster-bricks/start.sh
gluster --mode=script volume create "$1" "$2:/gluster/brick"
gluster --mode=script volume start "$1"
sh -eu /lab/jobs/fill-gluster.sh "$1"
sh -eu /lab/jobs/release.sh
sync
