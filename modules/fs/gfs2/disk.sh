#!/bin/sh
# What stands on a GFS2 disk, read without mounting it: superblock and number of journals. All
# offsets are of include/uapi/linux/gfs2_ondisk.h; its numbers are big-endian.
set -eu

# The superblock lies 64 KiB into the device.
superblock=65536

# sb_text DEVICE OFFSET: print 64 bytes of text of the superblock.
sb_text() {
    dd if="$1" bs=16 skip=$(((superblock + $2) / 16)) count=4 2>/dev/null |
        LC_ALL=C tr -cd 'A-Za-z0-9._:-'
}

# sb_magic DEVICE: print its first four bytes.
sb_magic() {
    dd if="$1" bs=16 skip=$((superblock / 16)) count=1 2>/dev/null | od -An -tx1 | cut -c 1-12 | tr -d ' '
}

# number DEVICE BYTE SIZE: print the number of SIZE bytes at BYTE of the device. Addresses beyond 2^40 blocks
# are no file system's, so what shell arithmetic can't hold is refused.
number() {
    _number=$(dd if="$1" bs=1 skip="$2" count="$3" 2>/dev/null | od -An -v -tx1 | tr -cd '0-9a-f')
    [ "${#_number}" -eq $(($3 * 2)) ] || return 1
    case $_number in
        000000??????????) _number=${_number#000000} ;;
        ????????????????) return 1 ;;
    esac
    echo $((0x$_number))
}

# count_journals DEVICE: print the number of its journals: the entries of the directory `jindex` in the
# master directory, but for . and ... Status 1 when they could not be found.
count_journals() {
    _block=$(number "$1" $((superblock + 36)) 4) || return 1
    [ "$_block" -ge 512 ] && [ "$_block" -le 65536 ] || return 1
    _master=$(number "$1" $((superblock + 56)) 8) || return 1
    # The master directory's entries follow its inode of 232 bytes, each of a header of 40 bytes
    # (inode's address at 8, length of the entry at 20, of the name at 22) and the name.
    _jindex=$(
        dd if="$1" bs="$_block" skip="$_master" count=1 2>/dev/null | od -An -v -tx1 | tr -d ' \n' | awk '
            function value(at, size,    i, sum) {
                for (i = 0; i < size * 2; i++)
                    sum = sum * 16 + index("0123456789abcdef", substr($0, at * 2 + i + 1, 1)) - 1
                return sum
            }
            {
                name = "6a696e646578"
                for (at = 232; at + 40 < length($0) / 2; at += size) {
                    size = value(at + 20, 2)
                    if (size < 40)
                        exit
                    if (value(at + 22, 2) == 6 && substr($0, (at + 40) * 2 + 1, 12) == name) {
                        printf "%d\n", value(at + 8, 8)
                        exit
                    }
                }
            }'
    )
    [ -n "$_jindex" ] || return 1
    _entries=$(number "$1" $((_jindex * _block + 148)) 4) || return 1
    [ "$_entries" -gt 2 ] || return 1
    echo $((_entries - 2))
}
