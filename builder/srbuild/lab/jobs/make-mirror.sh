# Make /dev/vda one side of a DRBD mirror with a file system on it that the job make-$1 makes of the
# words after that, which stand in $2 with commas between. Copies of the disk are the mirror's other
# sides: they have the same data generation, so nothing is to be synchronised.
job=make-$1
# DRBD's metadata lies at the end: 36 KiB, and a bit for every 4 KiB.
blocks=$((($(blockdev --getsize64 /dev/vda) - (1 << 20)) / 4096))
printf '%s,%s\n' "$2" "$blocks" | tr ',' '\n' | xargs sh -eu "/lab/jobs/$job.sh"
meta() {
    drbdmeta --force 0 v08 /dev/vda internal "$@"
}
meta create-md
# The size that the nodes have agreed on, in sectors: what the metadata leaves.
size=$(blockdev --getsz /dev/vda)
pages=$(((size / 8 / 8 + 4095) / 4096))
meta dump-md | sed "s/^la-size-sect .*/la-size-sect $((size - 72 - 8 * pages));/" >/run/lab.md
meta restore-md /run/lab.md
# Consistent and up to date; this comes last, for a dump does not hold it.
meta set-gi 5EEDFACE5EEDFACE:0:0:0:1:1
sync
