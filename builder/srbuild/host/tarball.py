"""Unpacking tar archives without root and without trust, through libarchive.

Names are followed inside the tree as a process rooted there would: an absolute link starts
again at the tree's root, `..` of a link stops there, and a member's own name may hold none. So
nothing is written outside, whatever an archive or an earlier layer holds. All files become the
caller's own; setuid and setgid bits are dropped, and so are device nodes, FIFOs, owners, times
and extended attributes, none of which an image takes from its sysroot. What its owner could
not read or enter is made so.
"""

from __future__ import annotations

import ctypes
import errno
import locale
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from srbuild.archive import load_libarchive
from srbuild.errors import SrbuildError, VerifyError
from srbuild.formats.oci import OPAQUE, WHITEOUT
from srbuild.paths import HostPath

# By name, for "all" would also start programs (lrzip, grzip) on a hostile archive's word.
FILTERS = ("bzip2", "compress", "gzip", "lz4", "lzip", "lzma", "xz", "zstd")
_MAX_LINKS = 40  # as the kernel's MAXSYMLINKS
_BLOCK = 256 << 10  # bytes read at a time
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE = 0o777
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_PYBUF_READ = 0x100


def unpack_tar(archive: HostPath, tree: HostPath, *, whiteouts: bool = False) -> int:
    """Unpack `archive`, compressed or not, over what is in `tree`; return how many members.

    With `whiteouts`, names that begin with `.wh.` remove what lower layers put there (OCI
    image specification, layer.md). Raises VerifyError for a damaged or hostile archive,
    SrbuildError when `tree` can't be written.
    """
    ffi = load_libarchive()
    handle = ffi.read_new()
    try:
        for name in FILTERS:
            ffi.get_read_filter_function(name)(handle)
        ffi.get_read_format_function("tar")(handle)
        with _utf8_names(), archive.open("rb", buffering=0) as file:
            reader = _Reader(ffi, handle, file.fileno())
            reader.open()
            target = _Tree(os.fspath(tree), whiteouts)
            while (entry := reader.next()) is not None:
                _unpack_member(reader, entry, target)
            target.finish()
        return target.members
    except _BadMember as error:
        raise VerifyError(
            f"{archive}: {error}", hint="nothing of it is used; make the archive again"
        ) from error
    except OSError as error:
        raise SrbuildError(
            f"cannot unpack {archive}: {error.strerror}",
            hint="the cache needs room for the whole tree; --cache DIR names another place"
            if error.errno in _NO_SPACE
            else "",
        ) from error
    finally:
        ffi.read_free(handle)


@contextmanager
def _utf8_names() -> Iterator[None]:
    """A locale in which libarchive can tell names of pax archives, which are UTF-8."""
    before = locale.setlocale(locale.LC_CTYPE)
    locale.setlocale(locale.LC_CTYPE, "C.UTF-8")
    try:
        yield
    finally:
        locale.setlocale(locale.LC_CTYPE, before)


class _BadMember(ValueError):
    """The archive is damaged, or a member of it must not be unpacked."""


class _Reader:
    """libarchive's reading functions over one archive."""

    def __init__(self, ffi: Any, handle: Any, file: int) -> None:
        self._ffi = ffi
        self._handle = handle
        self._file = file
        self._entry = ctypes.c_void_p()

    def open(self) -> None:
        self._call(self._ffi.read_open_fd, self._file, _BLOCK)

    def next(self) -> ctypes.c_void_p | None:
        """The next member; None at the end."""
        if self._call(self._ffi.read_next_header, ctypes.byref(self._entry)) == 1:
            return None
        return self._entry

    def text(self, what: str, entry: ctypes.c_void_p) -> str | None:
        """The member's pathname, hardlink or symlink."""
        data: bytes | None = getattr(self._ffi, f"entry_{what}")(entry)
        return None if data is None else os.fsdecode(data)

    def mode(self, entry: ctypes.c_void_p) -> int:
        return int(self._ffi.entry_mode(entry))

    def size(self, entry: ctypes.c_void_p) -> int:
        return int(self._ffi.entry_size(entry))

    def copy_data(self, file: int) -> None:
        """Write the member's data to the open `file`, leaving its holes."""
        block, size, offset = ctypes.c_void_p(), ctypes.c_size_t(), ctypes.c_longlong()
        arguments = (ctypes.byref(block), ctypes.byref(size), ctypes.byref(offset))
        while self._call(self._ffi.read_data_block, *arguments) != 1:
            data = _view(block, size.value, _PYBUF_READ)
            done = 0
            while done < size.value:
                done += os.pwrite(file, data[done:], offset.value + done)

    def _call(self, function: Callable[..., int], *arguments: object) -> int:
        try:
            code = function(self._handle, *arguments)
        except self._ffi.ArchiveError as error:
            raise _BadMember(f"damaged, or no tar archive: {error}") from error
        if code < 0:
            raise _BadMember(f"damaged: {self._ffi.error_string(self._handle)}")
        return code


_view = ctypes.pythonapi.PyMemoryView_FromMemory
_view.argtypes = (ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int)
_view.restype = ctypes.py_object


def _unpack_member(reader: _Reader, entry: ctypes.c_void_p, tree: _Tree) -> None:
    name = reader.text("pathname", entry)
    if not name:
        raise _BadMember("a member without a name")
    parts = _split(name)
    if not parts or tree.hide(parts):
        return
    mode = reader.mode(entry)
    hardlink = reader.text("hardlink", entry)
    tree.members += 1
    if hardlink is not None:
        tree.add_hardlink(parts, _split(hardlink))
    elif stat.S_ISDIR(mode):
        tree.add_dir(parts, mode)
    elif stat.S_ISLNK(mode):
        tree.add_symlink(parts, reader.text("symlink", entry) or "")
    elif stat.S_ISREG(mode):
        file = tree.open_file(parts, mode)
        try:
            reader.copy_data(file)
            os.truncate(file, reader.size(entry))
        finally:
            os.close(file)


def _split(name: str) -> list[str]:
    """The parts of a member's name; an absolute one counts from the tree's root, as in tar(1)."""
    parts = [part for part in name.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise _BadMember(f"the member {name!r} would lie outside of the tree")
    return parts


class _Tree:
    """The tree being made, and what this archive has put in it."""

    def __init__(self, root: str, whiteouts: bool) -> None:
        self.members = 0
        self._root = root.rstrip("/")
        self._whiteouts = whiteouts
        self._own: set[str] = set()  # what this archive put, and every directory above it
        self._real: dict[tuple[str, ...], str] = {}
        self._modes: dict[str, int] = {}

    def add_dir(self, parts: list[str], mode: int) -> None:
        path = self._place(parts)
        if not stat.S_ISDIR(_mode_of(path)):
            self._clear(path)
            os.mkdir(path, 0o700)
        self._modes[path] = mode & (_MODE | stat.S_ISVTX) | 0o700

    def add_symlink(self, parts: list[str], target: str) -> None:
        if not target:
            raise _BadMember(f"the link {'/'.join(parts)!r} leads nowhere")
        path = self._place(parts)
        self._clear(path)
        os.symlink(target, path)
        self._real.clear()

    def add_hardlink(self, parts: list[str], target: list[str]) -> None:
        source = f"{self._parent(target, make=False)}/{target[-1]}" if target else self._root
        if not stat.S_ISREG(kind := _mode_of(source)) and not stat.S_ISLNK(kind):
            raise _BadMember(
                f"{'/'.join(parts)!r} is a hard link to {'/'.join(target)!r}, which is no file"
            )
        path = self._place(parts)
        if not (kind == _mode_of(path) and os.path.samestat(os.lstat(source), os.lstat(path))):
            self._clear(path)
            os.link(source, path, follow_symlinks=False)
            self._real.clear()

    def open_file(self, parts: list[str], mode: int) -> int:
        """Make a file and open it for writing; what stood there is gone, not overwritten."""
        path = self._place(parts)
        self._clear(path)
        file = os.open(path, _NEW_FILE, 0o600)
        os.fchmod(file, mode & _MODE | stat.S_IRUSR)
        return file

    def finish(self) -> None:
        """Give the directories their modes, once nothing more is made inside them."""
        for path, mode in self._modes.items():
            if stat.S_ISDIR(_mode_of(path)):
                os.chmod(path, mode)

    def hide(self, parts: list[str]) -> bool:
        """Do what a whiteout says; whether `parts` names one."""
        name = parts[-1]
        if not self._whiteouts or not name.startswith(WHITEOUT):
            return False
        parent = self._parent(parts, make=False)
        if name == OPAQUE:
            self._hide_below(parent)
        elif not name.startswith(WHITEOUT + WHITEOUT):  # the rest are notes of aufs to itself
            hidden = name.removeprefix(WHITEOUT)
            if hidden in {"", ".", ".."}:
                raise _BadMember(f"the whiteout {'/'.join(parts)!r} names nothing")
            self._hide(f"{parent}/{hidden}")
        return True

    def _hide(self, path: str) -> None:
        """Remove what lower layers put at `path`; what this one put stays."""
        mode = _mode_of(path)
        if path not in self._own:
            self._clear(path)
        elif stat.S_ISDIR(mode):
            self._hide_below(path)

    def _hide_below(self, folder: str) -> None:
        if stat.S_ISDIR(_mode_of(folder)):
            for name in os.listdir(folder):
                self._hide(f"{folder}/{name}")

    def _place(self, parts: list[str]) -> str:
        """Where the member goes, the directories above it made; it counts as put."""
        parent = self._parent(parts, make=True)
        path = f"{parent}/{parts[-1]}"
        above = path
        while above != self._root and above not in self._own:
            self._own.add(above)
            above = above.rpartition("/")[0]
        return path

    def _parent(self, parts: list[str], *, make: bool) -> str:
        """The real directory above a member, found inside the tree; missing ones are made."""
        key = tuple(parts[:-1])
        known = self._real.get(key)
        if known is None:
            known = self._walk(parts, make)
            if make:
                self._real[key] = known
        return known

    def _walk(self, parts: list[str], make: bool) -> str:
        done: list[str] = []
        todo = parts[-2::-1]
        links = 0
        while todo:
            part = todo.pop()
            if part in {"", "."}:
                continue
            if part == "..":
                del done[-1:]
                continue
            path = "/".join((self._root, *done, part))
            mode = _mode_of(path)
            if stat.S_ISLNK(mode):
                links += 1
                if links > _MAX_LINKS:
                    raise _BadMember(f"too many links on the way to {'/'.join(parts)!r}")
                target = os.readlink(path)
                if target.startswith("/"):
                    done.clear()
                todo.extend(reversed(target.split("/")))
                continue
            if make and not stat.S_ISDIR(mode):
                self._clear(path)
                os.mkdir(path, 0o700)
                self._modes[path] = 0o755
            done.append(part)
        return "/".join((self._root, *done))

    def _clear(self, path: str) -> None:
        """Remove what is at `path`, if anything is."""
        mode = _mode_of(path)
        if stat.S_ISDIR(mode):
            shutil.rmtree(path)
        elif mode:
            os.unlink(path)
        if not stat.S_ISREG(mode) and mode:
            self._real.clear()


def _mode_of(path: str) -> int:
    """The mode of what is at `path`, a link not followed; 0 when nothing is."""
    try:
        return os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0
