"""kmod's binary index (`modules.*.bin`): a radix tree of keys with prioritised values.

All numbers are 32 bits, big-endian. A file is magic, version, the root's address and the
nodes, each child before its parent. A node's address is its offset with flags in the high
nibble for the parts that it has, which follow each other in this order:

* PREFIX: the characters shared by all that is below, ended by NUL;
* CHILDS: first and last character (a byte each), then the address of the child for every
  character of that range, 0 for none;
* VALUES: their number, then for each its priority and its characters, ended by NUL.

A child's character is not part of its prefix, and the root has no prefix. This is the format
version 2.1 of kmod's libkmod-index.c and depmod.c, read by every kmod since version 1.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import field
from operator import itemgetter

from srbuild.frozen import mutable

MAGIC = 0xB007F457
VERSION = 0x00020001
MAX_SIZE = 0x0FFFFFFF  # bytes: what an address without its flags can name

_PREFIX = 0x80000000
_VALUES = 0x40000000
_CHILDS = 0x20000000


class IndexFormatError(ValueError):
    """An entry that the index format cannot hold."""


@mutable
class _Node:
    """A node still open: more children of it may come. `key` are the characters up to it."""

    key: bytes
    values: list[tuple[int, bytes]] = field(default_factory=list)
    children: list[tuple[int, int]] = field(default_factory=list)  # (character, address)


def write_index(entries: Iterable[tuple[str, str, int]]) -> bytes:
    """The index of (key, value, priority) `entries`; lower priorities come first.

    Of entries with the same key and priority the later comes first, as depmod has it.
    Raises IndexFormatError for an empty key, a character that is not 7-bit ASCII or is NUL,
    and for too large an index.
    """
    keys: dict[bytes, list[tuple[int, bytes]]] = {}
    for key, value, priority in entries:
        keys.setdefault(_ascii(key), []).append((priority, _ascii(value)))
    if b"" in keys:
        raise IndexFormatError("an empty key in a kmod index")
    out = bytearray(struct.pack(">III", MAGIC, VERSION, 0))
    path = [_Node(b"")]  # the open nodes, from the root to the last key
    for text in sorted(keys):
        _close_down_to(path, _common(path[-1].key, text), out)
        latest_first = keys[text][::-1]
        path.append(_Node(text, sorted(latest_first, key=itemgetter(0))))
    _close_down_to(path, 0, out)
    root = _write_node(path[0], 0, out)
    if len(out) > MAX_SIZE:
        raise IndexFormatError(f"a kmod index of {len(out)} bytes; {MAX_SIZE} is the limit")
    struct.pack_into(">I", out, 8, root)
    return bytes(out)


def _ascii(text: str) -> bytes:
    if not text.isascii() or "\0" in text:
        raise IndexFormatError(f"{text!r} cannot stand in a kmod index: only 7-bit ASCII can")
    return text.encode("ascii")


def _common(one: bytes, other: bytes) -> int:
    """How many bytes `one` and `other` begin with alike."""
    length = min(len(one), len(other))
    # As numbers they differ from the highest bit of the first different byte on.
    differ = int.from_bytes(one[:length], "big") ^ int.from_bytes(other[:length], "big")
    return length - (differ.bit_length() + 7) // 8


def _close_down_to(path: list[_Node], depth: int, out: bytearray) -> None:
    """Write the open nodes below `depth` characters; afterwards the last open one is there."""
    while len(path[-1].key) > depth:
        node = path.pop()
        if len(path[-1].key) < depth:
            path.append(_Node(node.key[:depth]))
        parent = path[-1]
        split = len(parent.key)
        address = _write_node(node, split + 1, out)
        parent.children.append((node.key[split], address))


def _write_node(node: _Node, prefix_from: int, out: bytearray) -> int:
    """Append `node`, whose prefix starts at that character of its key; returns its address."""
    address = len(out)
    prefix = node.key[prefix_from:]
    if prefix:
        out += prefix + b"\0"
        address |= _PREFIX
    if node.children:
        first, last = node.children[0][0], node.children[-1][0]
        table = [0] * (last - first + 1)
        for character, child in node.children:
            table[character - first] = child
        out += struct.pack(f">BB{len(table)}I", first, last, *table)
        address |= _CHILDS
    if node.values:
        out += struct.pack(">I", len(node.values))
        for priority, value in node.values:
            out += struct.pack(">I", priority) + value + b"\0"
        address |= _VALUES
    return address
