"""Volumes of VMFS 3, for tests: Debian can read the file system but not make one.

VMware has published no format. What is written here is what vmfs-tools 0.2.5 reads
(libvmfs/*.h), and `fsck.vmfs` agrees: a physical volume's header 1 MiB into the disk, 16 MiB
later the logical volume, in it a file system of 1 MiB blocks. All numbers are little endian. ESX
itself was never shown such a volume, and it has no room for heartbeats that ESX would write.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator, Mapping
from dataclasses import field
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

from srbuild.frozen import mutable

MIB: Final = 1 << 20
VOLUME: Final = 1 * MIB  # where the physical volume's header is
DATA: Final = VOLUME + 16 * MIB  # where the logical volume begins
SEGMENT: Final = 256 * MIB
FIRST_BLOCK: Final = 4  # after the file system's header (block 2) and the heartbeats (3)
VOLUME_ID: Final = bytes(range(16))
FILE_SYSTEM_ID: Final = bytes(range(16, 32))

_SUB_BLOCK: Final = 64 << 10
_INODE: Final = 0x800
_ENTRY: Final = 0x400  # a bitmap's entry
_INODES: Final = 400  # inodes that one bitmap entry counts
_AREA: Final = _ENTRY + _INODES * _INODE
_POINTERS: Final = 256  # blocks that an inode lists
_MAGIC_INODE: Final = 0x10C00001
_MAGIC_BITMAP: Final = {".fbb.sf": 2, ".sbc.sf": 3, ".pbc.sf": 4, ".fdc.sf": 5}
_DIR, _FILE, _LINK, _META = 2, 3, 4, 5
_FILE_BLOCK, _FILE_DESCRIPTOR = 1, 4  # types of block numbers


@mutable
class _Node:
    """A file, directory or link in the making; `number` counts inodes from the root's 0."""

    number: int
    type: int
    mode: int
    source: Path | bytes = b""
    size: int = 0
    entries: dict[str, _Node] = field(default_factory=dict)
    blocks: list[int] = field(default_factory=list)
    links: int = 1

    @property
    def id(self) -> int:
        entry, item = divmod(self.number, _INODES)
        return item << 22 | entry << 6 | _FILE_DESCRIPTOR


def write_vmfs(target: Path, content: Mapping[str, Path | bytes], version: int = 3) -> None:
    """Make `target` a VMFS volume that holds `content`: paths and the files or bytes they have.

    A directory on the host stands for all that is below it: files, directories and symbolic
    links, with their modes; the file system knows nothing else. `version` is what the header
    says. ValueError for a file of more than 256 MiB.
    """
    nodes = _plan(content)
    volume = _Volume(nodes)
    with target.open("wb") as file:
        file.truncate(DATA + volume.end * MIB)
        _write_headers(file, volume.end, version)
        volume.write(file)


def _plan(content: Mapping[str, Path | bytes]) -> list[_Node]:
    nodes = [_Node(0, _DIR, 0o755)]
    for name in _MAGIC_BITMAP:
        nodes[0].entries[name] = _Node(len(nodes), _META, 0o400)
        nodes.append(nodes[0].entries[name])
    headers = _Node(len(nodes), _META, 0o400, size=FIRST_BLOCK * MIB)
    headers.blocks = list(range(FIRST_BLOCK))  # they hold what is written without a file
    nodes[0].entries[".vh.sf"] = headers
    nodes.append(headers)
    for name, source in content.items():
        for path, item in _expand(PurePosixPath(name), source):
            _add(nodes, path, item)
    return nodes


def _expand(
    path: PurePosixPath, source: Path | bytes
) -> Iterator[tuple[PurePosixPath, Path | bytes]]:
    yield path, source
    if isinstance(source, Path) and source.is_dir() and not source.is_symlink():
        for child in sorted(source.iterdir()):
            yield from _expand(path / child.name, child)


def _add(nodes: list[_Node], path: PurePosixPath, source: Path | bytes) -> None:
    above = nodes[0]
    for name in path.parent.parts:
        if name != "/" and name not in above.entries:
            above.entries[name] = _Node(len(nodes), _DIR, 0o755)
            nodes.append(above.entries[name])
        above = above.entries[name] if name != "/" else above
    if path.name in above.entries or not path.name:
        return
    node = _Node(len(nodes), _FILE, 0o644, source, len(source) if isinstance(source, bytes) else 0)
    if isinstance(source, Path):
        status = source.lstat()
        node.mode = stat.S_IMODE(status.st_mode)
        if stat.S_ISDIR(status.st_mode):
            node.type = _DIR
        elif stat.S_ISLNK(status.st_mode):
            node.type, node.source = _LINK, os.fsencode(os.readlink(source))
            node.size = len(node.source)
        elif stat.S_ISREG(status.st_mode):
            node.size = status.st_size
        else:
            raise ValueError(f"VMFS has no place for {source}, which is neither file nor directory")
    if node.size > _POINTERS * MIB:
        raise ValueError(f"{source!r} is larger than {_POINTERS} MiB")
    above.entries[path.name] = node
    nodes.append(node)


class _Volume:
    """Where everything of a file system lies."""

    def __init__(self, nodes: list[_Node]) -> None:
        self.nodes = nodes
        self.end = FIRST_BLOCK
        descriptors = nodes[0].entries[".fdc.sf"]
        self.areas = -(-len(nodes) // _INODES)
        descriptors.size = _ENTRY + self.areas * _AREA
        self._place(descriptors)  # its first block has a fixed place
        for parent in nodes:
            if parent.type == _DIR:
                parent.size = (2 + len(parent.entries)) * 0x8C
                parent.links = 2 + sum(one.type == _DIR for one in parent.entries.values())
        for name in (".pbc.sf", ".sbc.sf"):
            nodes[0].entries[name].size = 2 * _ENTRY
        for node in nodes:
            if node.type != _META:
                self._place(node)
        for name in (".pbc.sf", ".sbc.sf"):
            self._place(nodes[0].entries[name])
        blocks = nodes[0].entries[".fbb.sf"]
        # Its own block counts, too.
        blocks.size = _ENTRY * (1 + -(-(self.end + 1) // _INODES))
        self._place(blocks)

    def _place(self, node: _Node) -> None:
        count = -(-node.size // MIB)
        node.blocks = list(range(self.end, self.end + count))
        self.end += count

    def write(self, file: BinaryIO) -> None:
        root = self.nodes[0]
        descriptors = root.entries[".fdc.sf"]
        used = len(self.nodes)
        self._bitmap(file, ".fdc.sf", _INODE, self.areas * _INODES, used, self.areas)
        self._bitmap(file, ".fbb.sf", 0, self.end, self.end, -(-self.end // _INODES))
        self._bitmap(file, ".pbc.sf", 0x1000, 0, 0, 1)
        self._bitmap(file, ".sbc.sf", _SUB_BLOCK, 0, 0, 1)
        for node in self.nodes:
            entry, item = divmod(node.number, _INODES)
            at = _ENTRY + entry * _AREA + _ENTRY + item * _INODE
            self._put(file, descriptors, at, self._inode(node, self._position(descriptors, at)))
        self._contents(file)

    def _contents(self, file: BinaryIO) -> None:
        parents = {child.number: one for one in self.nodes for child in one.entries.values()}
        for node in self.nodes:
            if node.type == _DIR:
                named = {".": node, "..": parents.get(node.number, node), **node.entries}
                data = b"".join(
                    struct.pack("<III128s", to.type, to.id, to.number + 1, os.fsencode(name))
                    for name, to in named.items()
                )
                self._put(file, node, 0, data)
            elif isinstance(node.source, bytes):
                self._put(file, node, 0, node.source)
            else:
                with node.source.open("rb") as source:
                    for at in range(0, node.size, MIB):
                        block = source.read(MIB)
                        if block.strip(b"\0"):
                            self._put(file, node, at, block)

    def _position(self, node: _Node, at: int) -> int:
        """Where in the logical volume the byte `at` of a file is."""
        return node.blocks[at // MIB] * MIB + at % MIB

    def _put(self, file: BinaryIO, node: _Node, at: int, data: bytes) -> None:
        while data:
            room = MIB - at % MIB
            file.seek(DATA + self._position(node, at))
            file.write(data[:room])
            at, data = at + room, data[room:]

    def _inode(self, node: _Node, position: int) -> bytes:
        head = struct.pack("<IQ", _MAGIC_INODE, position).ljust(0x200, b"\0")
        fields = struct.pack(
            "<5I3Q9I",
            node.id, node.number + 1, node.links, node.type, 0, node.size, MIB, len(node.blocks),
            0, 0, 0, 0, 0, node.mode, _FILE_BLOCK, 0, 0,
        )  # fmt: skip
        numbers = [block << 6 | _FILE_BLOCK for block in node.blocks]
        return (head + fields).ljust(0x400, b"\0") + struct.pack(f"<{len(numbers)}I", *numbers)

    def _bitmap(
        self, file: BinaryIO, name: str, item: int, total: int, used: int, entries: int
    ) -> None:
        """Write a bitmap's header and entries: a set bit is a free item."""
        node = self.nodes[0].entries[name]
        area = _AREA if name == ".fdc.sf" else _ENTRY * entries
        per_area = 1 if name == ".fdc.sf" else entries
        count = entries // per_area
        # The readers take pointer blocks and sub-blocks by 16s only.
        each = 16 if name in {".pbc.sf", ".sbc.sf"} else _INODES
        header = struct.pack("<7I", each, per_area, _ENTRY, item, area, total, count)
        self._put(file, node, 0, header)
        for index in range(entries):
            at = _ENTRY + index * (_AREA if name == ".fdc.sf" else _ENTRY)
            here = min(total - index * _INODES, _INODES)
            taken = max(0, min(used - index * _INODES, here))
            bits = (1 << here) - (1 << taken)
            head = struct.pack(
                "<IQ", 0x10C00000 + _MAGIC_BITMAP[name], self._position(node, at)
            ).ljust(0x200, b"\0")
            first = taken if taken < here else 0
            body = struct.pack("<4I", index, here, here - taken, first)
            self._put(file, node, at, head + body + bits.to_bytes(_INODES // 8, "little"))


def _write_headers(file: BinaryIO, blocks: int, version: int) -> None:
    segments = -(-blocks * MIB // SEGMENT)
    physical = bytearray(0x400)
    struct.pack_into("<II", physical, 0, 0xC001D00D, version)
    struct.pack_into("<28s", physical, 18, b"srbuild lab")
    struct.pack_into("<I", physical, 95, (DATA + blocks * MIB) // 256)
    physical[130:146] = FILE_SYSTEM_ID
    struct.pack_into("<QQ", physical, 0x200, segments * SEGMENT, segments + 1)
    physical[0x200 + 84 : 0x200 + 100] = VOLUME_ID
    struct.pack_into("<III", physical, 0x200 + 116, segments, 0, 0)
    struct.pack_into("<I", physical, 0x200 + 128, segments - 1)
    struct.pack_into("<I", physical, 0x200 + 144, 1)
    file.seek(VOLUME)
    file.write(physical)
    system = bytearray(0x200)
    struct.pack_into("<IIB", system, 0, 0x2FABF15E, version, version)
    system[9:25] = FILE_SYSTEM_ID
    struct.pack_into("<128s", system, 29, b"lab")
    struct.pack_into("<IQ", system, 157, 512, MIB)
    system[177:193] = VOLUME_ID
    struct.pack_into("<III", system, 209, _ENTRY, 1, _SUB_BLOCK)
    file.seek(DATA + 2 * MIB)
    file.write(system)
