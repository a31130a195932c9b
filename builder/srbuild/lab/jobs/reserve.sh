# On a node's root: reserve the disk /dev/$1 for this node alone, under the key $2.
mount -o bind /dev /run/initramfs/dev
persist() {
    chroot /run/initramfs sg_persist -n "$@"
}
persist -o --register --param-sark="$2" "/dev/$1"
persist -o --reserve --param-rk="$2" --prout-type=1 "/dev/$1"
persist -i -r "/dev/$1"
umount /run/initramfs/dev
