"""Disks in a machine of files: sysfs as the kernel lays it out, and what blkid finds on them."""

from __future__ import annotations

from support.shells import Machine

PCI = "pci0000:00/0000:00:05.0"


def add_disk(
    machine: Machine,
    name: str,
    *,
    path: str = "",
    content: dict[str, str] | None = None,
    wwid: str = "",
    serial: str = "",
    holder: str = "",
    size: int = 2048,
) -> None:
    """A SCSI disk (`sd*`), NVMe or virtio disk, or a partition, whose `path` is its disk's name.

    `content` is what blkid says of it: TYPE, UUID, LABEL, PART_ENTRY_UUID.
    """
    below = machine.root / "sys/devices"
    if path in {f.name for f in (machine.root / "sys/class/block").glob("*")}:
        home = (machine.root / "sys/class/block" / path).resolve() / name
    else:
        home = below / (path or f"{PCI}/virtio1/host2/target2:0:0/2:0:0:0") / "block" / name
    home.mkdir(parents=True)
    (home / "size").write_text(f"{size}\n")
    (home / "holders").mkdir()
    if holder:
        (home / "holders" / holder).touch()
    if "block" in home.parts[-2]:
        (home / "device").symlink_to("../..")
        unit = home.parent.parent
        if wwid:
            (unit / "wwid").write_text(f"{wwid}\n")
        if serial and name.startswith("sd"):
            (unit / "vpd_pg80").write_bytes(b"\0\x80\0\x14" + serial.encode())
            (unit / "vendor").write_text("QEMU    \n")
            (unit / "model").write_text("QEMU HARDDISK   \n")
            (unit / "scsi_disk").mkdir()
        elif serial:
            (home / "serial").write_text(serial)
    else:
        (home / "partition").write_text(name[len(path) :].lstrip("p") + "\n")
    links = machine.root / "sys/class/block"
    links.mkdir(parents=True, exist_ok=True)
    (links / name).symlink_to(home)
    machine.write(f"dev/{name}", "")
    facts = "".join(f"{key}={value}\n" for key, value in (content or {}).items())
    machine.write(f"blkid/{name}", facts)
    machine.fake(
        "blkid",
        f'for last; do :; done\nfile="{machine.root}/blkid/${{last##*/}}"\n'
        '[ -s "$file" ] || exit 2\n'
        'case "$*" in *"-s TYPE"*) exec sed -n "s/^TYPE=//p" "$file" ;; esac\ncat "$file"',
        record=False,
    )
