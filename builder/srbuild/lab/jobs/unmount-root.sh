# Unmount what mount-root has mounted.
umount /run/lab.root
sync
