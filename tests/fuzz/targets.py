"""What is fuzzed: each target takes any bytes and lets only its parser's own errors pass.

A target returns for input that is well formed and for input that is refused as documented.
Whatever else is raised, and whatever takes too long, is a bug.
"""

from __future__ import annotations

import json
import os
import tempfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from io import BytesIO
from itertools import islice
from pathlib import Path

from fuzz import seeds
from srbuild.catalog import Catalog, load_module
from srbuild.closure.search import Abi, find_loader
from srbuild.config.cluster import load_cluster
from srbuild.config.load import load_recipe
from srbuild.config.values import OPTION_TYPES, parse
from srbuild.errors import ConfigError, ErrorGroup, VerifyError
from srbuild.formats.compress import read_errors
from srbuild.formats.cpio import CpioFormatError, CpioReader
from srbuild.formats.deb import DebError, read_deb
from srbuild.formats.elf import ElfFormatError, read_elf
from srbuild.formats.kmodfile import UnpackError, unpack
from srbuild.formats.kmodindex import (
    Aliases,
    IndexedKmod,
    Indexes,
    parse_builtin_aliases,
    parse_dep,
    parse_order,
    parse_softdep,
    parse_symbols,
    parse_weakdep,
    write_indexes,
)
from srbuild.formats.kmodtrie import IndexFormatError, write_index
from srbuild.formats.ldconf import parse_ld_so_conf, parse_musl_path
from srbuild.formats.modinfo import ModinfoError, parse_modinfo
from srbuild.formats.script import parse_shebang
from srbuild.formats.segments import SegmentFormatError, open_segment, split_image
from srbuild.formats.zstd import ZstdFormatError, read_frame
from srbuild.host.cache import ContentCache, FactStore
from srbuild.host.packages import load_packages
from srbuild.host.sysroot import Identity, Sysroot
from srbuild.paths import SysrootPath
from srbuild.pipeline import find_modules
from srbuild.report import verify_image
from srbuild.sidecar import from_json

LIMIT = 1 << 20  # bytes that a target unpacks at most


@dataclass(frozen=True)
class Target:
    """A parser under test: what runs it, and well-formed input to start from."""

    run: Callable[[bytes], object]
    seeds: Callable[[], list[bytes]]


@cache
def folder() -> Path:
    """One folder a process, in memory where there is /dev/shm, for parsers that read files."""
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    return Path(_KEPT.setdefault("folder", tempfile.TemporaryDirectory(dir=base)).name)


_KEPT: dict[str, tempfile.TemporaryDirectory[str]] = {}


def written(name: str, data: bytes) -> Path:
    path = folder() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@cache
def catalog() -> Catalog:
    return find_modules()


def elf(data: bytes) -> None:
    with suppress(ElfFormatError):
        read_elf(data)


def modinfo(data: bytes) -> None:
    with suppress(ModinfoError):
        info = parse_modinfo(data)
        _ = (info.softdep_pre, info.softdep_post, info.softdep_other, info.weakdep)


def cpio(data: bytes) -> None:
    with suppress(CpioFormatError):
        reader = CpioReader(BytesIO(data))
        for _ in reader:
            for _ in reader.chunks():
                pass


def segments(data: bytes) -> None:
    file = BytesIO(data)
    with suppress(SegmentFormatError, *read_errors()):
        for one in list(split_image(file)):
            reader = open_segment(file, one)
            for _ in islice(iter(partial(reader.read, 1 << 16), b""), LIMIT >> 16):
                pass


def image(data: bytes) -> None:
    report = verify_image(written("image", data))
    assert report.segments or not report.ok


def zstd(data: bytes) -> None:
    with suppress(ZstdFormatError):
        read_frame(BytesIO(data))


def kmodfile(data: bytes) -> None:
    for how in ("gzip", "xz", "zstd"):
        with suppress(UnpackError):
            assert len(unpack(data, how, LIMIT)) <= LIMIT  # type: ignore[arg-type]


def kmodindex(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    parse_softdep(text)
    parse_weakdep(text)
    parse_symbols(text, {"ext4"})
    parse_order(text)
    parse_builtin_aliases(data)
    aliases = Aliases(text)
    for wanted in ("ext4", "pci:v00001AF4d00001041sv0sd0bc02sc00i00", text[:200]):
        aliases.find(wanted)
    with suppress(ValueError):
        parse_dep(text)


def kmodtrie(data: bytes) -> None:
    words = data.decode("utf-8", "surrogateescape").split("\n")
    with suppress(IndexFormatError):
        write_index((word, word, place) for place, word in enumerate(words))
    with suppress(IndexFormatError):
        kmod = IndexedKmod("m", "kernel/m.ko", (), tuple(words), tuple(words), tuple(words))
        write_indexes(Indexes([kmod], builtin=words[0], builtin_modinfo=data))


def ldconf(data: bytes) -> None:
    """ld.so.conf and musl's path file, parsed and then met in a sysroot."""
    text = data.decode("utf-8", "surrogateescape")
    parse_ld_so_conf(text)
    parse_musl_path(text)
    written("ld/etc/ld.so.conf", data)
    written("ld/etc/ld-musl-x86_64.path", data)
    root = Sysroot(folder() / "ld")
    find_loader(root, "/lib64/ld-linux-x86-64.so.2", Abi(64, "little", 62))
    find_loader(root, "/lib/ld-musl-x86_64.so.1", Abi(64, "little", 62))


def loader(data: bytes) -> None:
    """The loader's own file, whose built-in directories are looked for."""
    written("loader/lib/ld.so", data)
    find_loader(Sysroot(folder() / "loader"), "/lib/ld.so", Abi(64, "little", 62))


def shebang(data: bytes) -> None:
    found = parse_shebang(data)
    _ = found and found.env_program


def deb(data: bytes) -> None:
    with suppress(DebError):
        package = read_deb(written("package.deb", data))
        package.field("Package")


def dpkg(data: bytes) -> None:
    written("dpkg/var/lib/dpkg/status", data)
    written("dpkg/var/lib/dpkg/info/a.list", data)
    packages = load_packages(Sysroot(folder() / "dpkg"))
    _ = packages.installed
    packages.owner(SysrootPath("/usr/bin/a"))
    packages.shipping("a")


def recipe(data: bytes) -> None:
    with suppress(ConfigError, ErrorGroup):
        load_recipe(written("recipe.toml", data), catalog())


def cluster(data: bytes) -> None:
    with suppress(ConfigError, ErrorGroup):
        load_cluster(written("cluster.toml", data), catalog())


def module(data: bytes) -> None:
    with suppress(ConfigError, ErrorGroup):
        load_module(written("modules/block/iscsi/module.toml", data).parent, {"storage"})


def values(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    for kind in OPTION_TYPES:
        with suppress(ValueError):
            normal = parse(kind, text)
            assert parse(kind, normal) == normal


def sidecar(data: bytes) -> None:
    with suppress(VerifyError):
        from_json(data).expected()


def kept(data: bytes) -> None:
    """What the cache has kept: anything may have become of it, checksums that fit included."""
    written("cache/segments/key", data)
    found = ContentCache(folder() / "cache").find("key")
    if found:
        size = sum(map(len, islice(found.chunks(), 4)))
        assert size <= min(found.length, len(data))
        assert json.dumps((found.sha256, found.cpio_size))
    who, other = Identity(1, 2, 3, 4, 5), Identity(5, 4, 3, 2, 1)
    text = data.replace(b"\n", b" ")
    path = written("cache/facts", data + b"\ntable\t%08x\t%s\n" % (zlib.crc32(text), text))
    store = FactStore(path)
    for table in ("content-1", "table"):
        store.get(table, who)
    store.put("table", other, ["kept"], settled=True)
    assert store.save() == ""
    assert FactStore(path).get("table", other) == ["kept"]


TARGETS = {
    "cluster": Target(cluster, seeds.clusters),
    "cpio": Target(cpio, seeds.archives),
    "deb": Target(deb, seeds.debs),
    "dpkg": Target(dpkg, seeds.dpkg),
    "elf": Target(elf, seeds.elves),
    "image": Target(image, seeds.images),
    "kept": Target(kept, seeds.kept),
    "kmodfile": Target(kmodfile, seeds.packed),
    "kmodindex": Target(kmodindex, seeds.indexes),
    "kmodtrie": Target(kmodtrie, seeds.indexes),
    "ldconf": Target(ldconf, seeds.ldconf),
    "loader": Target(loader, seeds.loaders),
    "modinfo": Target(modinfo, seeds.kmods),
    "module": Target(module, seeds.modules),
    "recipe": Target(recipe, seeds.recipes),
    "segments": Target(segments, seeds.images),
    "shebang": Target(shebang, seeds.shebangs),
    "sidecar": Target(sidecar, seeds.sidecars),
    "values": Target(values, seeds.values),
    "zstd": Target(zstd, seeds.packed),
}
