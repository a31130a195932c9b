"""Reading one archive through libarchive: the independent reader of what srbuild wrote.

libarchive-c's own entry objects cost more than the data, so its `ffi` functions are called
directly. libarchive stops at the first TRAILER!!!: give it one segment at a time. A warning is
an error here: libarchive warns where it loses data.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import importlib
import os
import stat
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from srbuild.errors import ToolError
from srbuild.formats.segments import MAX_UNPACKED, Slice
from srbuild.records import TYPE_BITS, Record

MAX_NAMES = 256 << 20  # bytes of names and link targets in one segment, RECORD_COST each included
RECORD_COST = 256  # bytes, roughly what a record takes in memory

_STEP = 256 << 10
_SONAME = "libarchive.so.13"  # since libarchive 3.0, of 2011
_KINDS = {bits: kind for kind, bits in TYPE_BITS.items()}


class ArchiveReadError(ValueError):
    """libarchive can't make sense of the archive; the text is its own."""


def load_libarchive() -> ModuleType:
    """libarchive-c's table of functions.

    Raises ToolError, naming the Debian package, when the C library is not installed.
    """
    try:
        with _by_name():
            return importlib.import_module("libarchive.ffi")  # 20 ms that a warm build saves
    except (AttributeError, OSError) as error:  # how ctypes says "no such library"
        raise ToolError(
            "libarchive is not installed, so the image cannot be verified",
            hint="apt-get install libarchive13, or name the library in LIBARCHIVE",
        ) from error


@contextlib.contextmanager
def _by_name() -> Iterator[None]:
    """Let libarchive-c load the library by its name, where it is: its search runs ldconfig."""
    is_there = False
    if "LIBARCHIVE" not in os.environ and "libarchive.ffi" not in sys.modules:
        with contextlib.suppress(OSError):
            is_there = bool(ctypes.CDLL(_SONAME))
    if is_there:
        os.environ["LIBARCHIVE"] = _SONAME
    try:
        yield
    finally:
        if is_there:
            del os.environ["LIBARCHIVE"]


Available = Callable[[int], int]
"""How many bytes of the image may be read at an offset; 0 at the segment's end. It may wait
for a writer."""


def whole(segment: Slice) -> Available:
    """All of a segment that is finished."""
    return lambda at: segment.offset + segment.length - at


class SegmentArchive:
    """One segment of an image, read record by record; use it in one thread, with `with`.

    After the last record `length` and `sha256` (in hexadecimal) are those of the segment's own
    bytes.
    """

    def __init__(self, fd: int, offset: int, compression: str, available: Available) -> None:
        """Read the segment at `offset` of the image that `fd` has open; its position stays."""
        self._ffi = load_libarchive()
        self._fd = fd
        self._offset = self._at = offset
        self._compression = compression
        self._available = available
        self._chunk = ctypes.create_string_buffer(_STEP)
        self._digest = hashlib.sha256()
        self._archive: Any = None
        self._callback = self._ffi.READ_CALLBACK(self._read_callback)

    def __enter__(self) -> SegmentArchive:
        ffi = self._ffi
        self._archive = ffi.read_new()
        # By name: "all" would also start programs (lrzip, grzip) on a hostile image's word.
        ffi.get_read_filter_function(self._compression)(self._archive)
        ffi.get_read_format_function("cpio")(self._archive)
        return self

    def __exit__(self, *_: object) -> None:
        self._ffi.read_free(self._archive)

    def __iter__(self) -> Iterator[tuple[str, Record]]:
        """Name, as stored, and record of everything in the archive; files' data is hashed.

        Raises ArchiveReadError for a damaged archive, for bytes behind its end, and for one that
        unpacks to more than MAX_UNPACKED or MAX_NAMES: a few bytes can stand for terabytes.
        """
        ffi = self._ffi
        size = names = 0
        self._call(ffi.read_open, None, ffi.NO_OPEN_CB, self._callback, ffi.NO_CLOSE_CB)
        entry = ctypes.c_void_p()
        while self._call(ffi.read_next_header, ctypes.byref(entry)) != 1:
            size += ffi.entry_size(entry)
            if size > MAX_UNPACKED:
                raise ArchiveReadError(f"files of more than {MAX_UNPACKED} bytes")
            name, record = self._read_record(entry)
            names += len(name) + len(record.target) + RECORD_COST
            if names > MAX_NAMES:
                raise ArchiveReadError("more names than any initramfs has")
            yield name, record
        form = ffi.format_name(self._archive) or b"nothing"
        if not form.startswith(b"ASCII cpio (SVR4"):
            raise ArchiveReadError(f"{form.decode()}, which the kernel does not unpack")
        # The last filter is "none"; libarchive would undo one compression after another.
        if ffi.libarchive.archive_filter_count(self._archive) > 2:
            raise ArchiveReadError("compressed twice, which the kernel does not unpack")
        self._check_rest()

    @property
    def length(self) -> int:
        """The number of the segment's bytes read so far."""
        return self._at - self._offset

    @property
    def sha256(self) -> str:
        """The digest of the segment's bytes read so far."""
        return self._digest.hexdigest()

    def _read_record(self, entry: ctypes.c_void_p) -> tuple[str, Record]:
        ffi = self._ffi
        name = os.fsdecode(ffi.entry_pathname(entry) or b"")
        mode = ffi.entry_mode(entry) & 0xFFFF  # as the kernel's umode_t holds it
        link = ffi.entry_hardlink(entry)
        if link is not None:
            return name, Record("hardlink", stat.S_IMODE(mode), target=os.fsdecode(link))
        kind = _KINDS.get(stat.S_IFMT(mode), "unknown")
        mode = stat.S_IMODE(mode)
        if kind == "file":
            return name, Record(kind, mode, *self._hash_data())
        if kind == "symlink":
            target = os.fsdecode(ffi.entry_symlink(entry) or b"")
            return name, Record(kind, mode, target=target)
        if kind in ("char", "block"):
            rdev = (ffi.entry_rdevmajor(entry), ffi.entry_rdevminor(entry))
            return name, Record(kind, mode, rdev=rdev)
        return name, Record(kind, mode)

    def _hash_data(self) -> tuple[int, str]:
        """Size and sha256 of the record's data, read where libarchive has it."""
        read_block: Callable[..., int] = self._ffi.read_data_block
        block, size, offset = ctypes.c_void_p(), ctypes.c_size_t(), ctypes.c_longlong()
        arguments = (ctypes.byref(block), ctypes.byref(size), ctypes.byref(offset))
        digest = hashlib.sha256()
        done = 0
        while self._call(read_block, *arguments) != 1:
            if offset.value != done:
                raise ArchiveReadError(f"hole in a file's data at {done}")
            if size.value:
                digest.update(_view(block, size.value, _PYBUF_READ))
                done += size.value
        return done, digest.hexdigest()

    def _check_rest(self) -> None:
        """Read on to the segment's end: its digest wants every byte."""
        while self._read_chunk():
            pass

    def _read_chunk(self) -> int:
        size = min(self._available(self._at), _STEP)
        done = os.preadv(self._fd, [memoryview(self._chunk)[:size]], self._at) if size else 0
        self._digest.update(memoryview(self._chunk)[:done])
        self._at += done
        return done

    def _read_callback(self, _archive: object, _context: object, block: Any) -> int:
        try:
            size = self._read_chunk()
        except OSError:
            return -1  # libarchive then gives up with an error of its own
        block[0] = ctypes.addressof(self._chunk)
        return size

    def _call(self, function: Callable[..., int], *arguments: object) -> int:
        try:
            code = function(self._archive, *arguments)
        except self._ffi.ArchiveError as error:
            raise ArchiveReadError(str(error)) from error
        if code < 0:
            raise ArchiveReadError(str(self._ffi.error_string(self._archive)))
        return code


_PYBUF_READ = 0x100
_view = ctypes.pythonapi.PyMemoryView_FromMemory
_view.argtypes = (ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int)
_view.restype = ctypes.py_object
