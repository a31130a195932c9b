# On a node's root: say of each path below the root's disk whether device-mapper uses it: `NAME active`
# or `NAME failed`. dmsetup's status of a multipath map has MAJOR:MINOR and A or F for each.
mount -o bind /dev /run/initramfs/dev
mount -o bind /proc /run/initramfs/proc
status=$(chroot /run/initramfs dmsetup status --target multipath)
umount /run/initramfs/proc /run/initramfs/dev
for path in /sys/block/sd*; do
    case " $status " in
        *" $(cat "$path/dev") A "*) echo "${path##*/} active" ;;
        *" $(cat "$path/dev") F "*) echo "${path##*/} failed" ;;
    esac
done
