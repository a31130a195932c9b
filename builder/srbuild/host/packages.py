"""Which package a sysroot's file comes from: dpkg's own database, read and written.

The status file and the `info/*.list` files are the same in an installed system and in a
sysroot that srbuild made (`host/distro.py` writes them from the packages themselves), so
`dpkg-query --admindir` reads either too. A tree without that database has no packages.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from srbuild.formats.control import control_field
from srbuild.host.sysroot import Sysroot
from srbuild.manifest import Package
from srbuild.paths import MERGED_DIRS, HostPath, SysrootPath

if TYPE_CHECKING:
    from srbuild.formats.deb import Deb  # which knows all archives and compressors

ADMIN_DIR = "/var/lib/dpkg"
# dpkg's states of a package whose files are there (deb822 status field, third word).
PRESENT = ("installed", "unpacked", "half-configured", "triggers-awaited", "triggers-pending")


class Packages:
    """The packages of a sysroot; read when first asked, the file lists at every question."""

    def __init__(self, sysroot: Sysroot) -> None:
        self._sysroot = sysroot

    @cached_property
    def installed(self) -> tuple[Package, ...]:
        """All packages whose files are in the tree, by name and architecture."""
        status = SysrootPath(f"{ADMIN_DIR}/status")
        if not self._sysroot.is_file(status):
            return ()
        stanzas = self._sysroot.read_text(status).split("\n\n")
        found = {_package(stanza) for stanza in stanzas if _is_present(stanza)}
        return tuple(sorted(found, key=lambda package: (package.name, package.architecture)))

    def owners(self, paths: Iterable[SysrootPath]) -> dict[SysrootPath, Package]:
        """The package of each of `paths` that one ships, merged-/usr or not.

        A path that several ship (a directory) goes to the first by name.
        """
        wanted: dict[bytes, list[SysrootPath]] = {}
        for path in paths:
            for alias in _aliases(path):
                wanted.setdefault(alias, []).append(path)
        owners: dict[SysrootPath, Package] = {}
        asked = set(wanted)
        for package, lines in self._lists() if asked else ():
            for line in asked.intersection(lines):
                for path in wanted[line]:
                    owners.setdefault(path, package)
        return owners

    def owner(self, path: SysrootPath) -> Package | None:
        """The package that ships `path`, whether the file is still there or not."""
        return self.owners([path]).get(path)

    def shipping(self, name: str) -> tuple[Package, ...]:
        """The packages that ship a file called `name`, wherever it lies."""
        end = b"/" + name.encode("utf-8", "surrogateescape")
        return tuple(
            package for package, lines in self._lists() if any(x.endswith(end) for x in lines)
        )

    def _lists(self) -> Iterable[tuple[Package, list[bytes]]]:
        """Each package with the paths it ships, in the order of `installed`."""
        info = f"{ADMIN_DIR}/info"
        there = set(self._sysroot.names(SysrootPath(info)))
        for package in self.installed:
            for name in _list_names(package):
                if name in there:
                    data = self._sysroot.read(SysrootPath(f"{info}/{name}"))
                    yield package, data.split(b"\n")
                    break


def load_packages(sysroot: Sysroot) -> Packages:
    """The packages of `sysroot`; nothing is read before it is asked for."""
    return sysroot.once("packages", lambda: Packages(sysroot))


def write_packages(root: HostPath, debs: Sequence[Deb]) -> None:
    """Write dpkg's database for a tree at `root` that `debs` were unpacked into.

    The packages are recorded as unpacked: their maintainer scripts never ran.
    """
    admin = root / ADMIN_DIR[1:]
    (admin / "info").mkdir(parents=True, exist_ok=True)
    (admin / "info" / "format").write_text("1\n")  # arch-qualified names of same-named lists
    stanzas = []
    for deb in sorted(debs, key=lambda deb: (deb.field("Package"), deb.field("Architecture"))):
        stanzas.append(f"{deb.control}Status: install ok unpacked\n\n")
        same = deb.field("Multi-Arch") == "same"
        package = _package(deb.control)
        name = _list_names(package)[0 if same else 1]
        lines = "".join(f"{path}\n" for path in ("/.", *deb.paths))
        (admin / "info" / name).write_bytes(lines.encode("utf-8", "surrogateescape"))
    (admin / "status").write_bytes("".join(stanzas).encode("utf-8", "surrogateescape"))


def _list_names(package: Package) -> tuple[str, str]:
    """The names that dpkg gives a package's list: `Multi-Arch: same` or not."""
    return f"{package.name}:{package.architecture}.list", f"{package.name}.list"


def _package(stanza: str) -> Package:
    fields = (control_field(stanza, name) for name in ("Package", "Version", "Architecture"))
    return Package(*fields)


def _is_present(stanza: str) -> bool:
    words = control_field(stanza, "Status").split()
    return len(words) == 3 and words[2] in PRESENT


def _aliases(path: SysrootPath) -> Iterable[bytes]:
    """The names that a package may know `path` by, before and after the /usr merge."""
    yield path.encode("utf-8", "surrogateescape")
    head, _, rest = path[1:].partition("/")
    if head in MERGED_DIRS:
        yield f"/usr{path}".encode("utf-8", "surrogateescape")
    elif head == "usr" and rest.partition("/")[0] in MERGED_DIRS:
        yield f"/{rest}".encode("utf-8", "surrogateescape")
