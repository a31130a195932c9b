# On a node: run a command of the bootstrap that the root lives on.
chroot /run/initramfs "$@"
