#!/bin/sh
# Join the paths to the root's disk (multipathd) and publish the result as ROOT_DEVICE in place of
# the one path that was attached. From then on multipathd tries the paths, and keep.sh brings new
# ones: no udev runs, so the records of udev that multipathd reads are written here (paths.sh).
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=hooks/lib/disk.sh
. "$SR_LIB/disk.sh"
# shellcheck source=modules/volume/multipath/paths.sh
. "${0%/*}/paths.sh"

# Set $disk, $number (of the partition, or empty) and $wwid of what was attached.
look_up() {
    attached=$(sr_get ROOT_PATH '')
    [ -n "$attached" ] || attached=$(sr_get ROOT_DEVICE '')
    [ -n "$attached" ] || sr_fail "no block module attached a disk" "which of them is in the image? srbuild modules"
    _look_name=$(readlink -f "$attached")
    _look_name=${_look_name##*/}
    disk=$(sr_disk_whole "$_look_name")
    number=
    if [ "$disk" != "$_look_name" ]; then
        read -r number <"$SR_SYS/class/block/$_look_name/partition"
    fi
    wwid=$(sr_path_wwid "$disk") || sr_fail "$attached has no WWID by which its other paths could be told" \
        "multipath is for SCSI disks (iSCSI, FC, SAS); build the image without it"
    sr_put ROOT_PATH "$attached"
}

write_conf() {
    mkdir -p "$SR_ROOT/etc/multipath/conf.d"
    {
        printf 'blacklist {\n\tdevnode ".*"\n\twwid ".*"\n}\n'
        printf 'blacklist_exceptions {\n\tdevnode "^sd[a-z]+$"\n'
        # Regular expressions: what is no letter or digit may be any character.
        sed 's/[^A-Za-z0-9_-]/./g; s/.*/\twwid "^&$"/' "$SR_RUN/paths/wwids"
        echo '}'
        if [ -n "$SR_MULTIPATH_ALIAS" ]; then
            printf 'multipaths {\n\tmultipath {\n\t\twwid "%s"\n\t\talias "%s"\n\t}\n}\n' "$wwid" "$SR_MULTIPATH_ALIAS"
        fi
    } >"$SR_ROOT/etc/multipath/conf.d/root.conf"
}

answers() {
    sr_alive "$SR_ROOT/run/multipathd.pid" && sr_multipathd show daemon >/dev/null 2>&1
}

start_daemon() {
    answers && return
    # Without it device-mapper would wait for a udev that it once saw.
    export DM_DISABLE_UDEV=1
    sr_survive multipathd
    sr_wait_for 30 "multipathd to answer" answers
}

joined() {
    [ -e "$SR_DEV/mapper/$name" ]
}

# Show what multipathd has, for the log.
show() {
    sr_multipathd show paths format "%d %w %T %i" 2>/dev/null | sr_printable || :
}

sr_modprobe
look_up
mkdir -p "$SR_RUN/paths"
{
    printf '%s\n' "$wwid"
    printf '%s\n' "$SR_MULTIPATH_WWID" | tr ' ' '\n' | grep . || :
} | sort -u >"$SR_RUN/paths/wwids"
name=${SR_MULTIPATH_ALIAS:-$wwid}
write_conf
sr_path_scan
start_daemon
sr_hint "multipathd's words are in $SR_RUN/multipathd.log; multipathd show paths, multipath -v3"
if ! sr_wait_for "$SR_MULTIPATH_TIMEOUT" "multipathd to make /dev/mapper/$name" joined; then
    show >&2
    sr_fail "multipathd did not join the paths to $wwid"
fi
sr_path_partitions "$name"
device=$SR_DEV/mapper/$name${number:+-part$number}
sr_hint "the partition $number that the root was found on is not there"
sr_wait_for 10 "$device" test -e "$device"
sr_put ROOT_DEVICE "$device"
sr_put BLOCK_DEVICES "$(sr_path_maps)"
if [ ! -s "$SR_RUN/paths/pid" ] || ! sr_alive "$SR_RUN/paths/pid"; then
    SR_PATHS_KNOWN=$paths_known SR_SURVIVE_LOG=paths sr_survive sh "${0%/*}/keep.sh"
fi
show
sr_log "the root's disk is $device, paths in use: $(sr_path_count)"
