#!/bin/sh
# What init begins with where the kernel's root is a disk (`srbuild bootstrap`) and not memory: the
# bootstrap is copied to memory, where all goes on as from an initrd. The disk is only read, and
# given back: it may fail, or be given a newer bootstrap, while the node runs on. No applet is
# installed yet and no library read: busybox' shell finds its own commands.
set -eu

new=/sysroot
readonly COPY_SECONDS=600

say() {
    echo "srbuild: memory: $*"
}

# What the kernel or an initramfs before us has mounted, and where others are put, is not copied.
copy() {
    for _name in /* /.[!.]*; do
        case $_name in
            /dev | /proc | /sys | /run | /tmp | /boot | /efi | /sysroot | /oldroot | /lost+found) ;;
            *)
                [ -e "$_name" ] || [ -L "$_name" ] || continue
                timeout "$COPY_SECONDS" cp -a "$_name" "$new/" || return 1
                ;;
        esac
    done
    mkdir "$new/dev" "$new/proc" "$new/sys" "$new/run" "$new/tmp" "$new/sysroot" "$new/oldroot"
}

IFS=' ' read -r disk kind <<END
$(awk '$2 == "/" { found = $1 " " $3 } END { print found }' /proc/mounts)
END
umount -l "$new" 2>/dev/null || : # of an attempt that failed
mount -t tmpfs -o mode=0755 srbuild "$new"
if ! copy; then
    say "the bootstrap on $disk ($kind) could not be copied to memory, of which half may be used:"
    df -m "$new" || :
    exit 1
fi
mkdir -p "$new/etc/srbuild"
# The spine leaves the parameters that led here alone.
printf '%s %s\n' "$disk" "$kind" >"$new/etc/srbuild/disk"
say "the bootstrap on $disk ($kind) is in memory"
