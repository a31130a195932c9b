"""depmod's files about just the kmods of an image, made from what the whole tree's and they say."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from srbuild.errors import ConflictError
from srbuild.formats.kmodfile import split_suffix
from srbuild.formats.kmodindex import (
    IndexedKmod,
    Indexes,
    kmod_name,
    parse_symbols,
    write_indexes,
)
from srbuild.formats.kmodtrie import IndexFormatError
from srbuild.formats.modinfo import ModInfo
from srbuild.kernels.kmods import KmodClosure
from srbuild.kernels.tree import KernelTree
from srbuild.paths import ImagePath, to_image


def index_files(tree: KernelTree, closure: KmodClosure) -> dict[ImagePath, bytes]:
    """All of depmod's files about the kmods of `closure`, once for all images of the tree.

    Raises ConflictError for an alias or a name that they can't hold.
    """
    key = ("indexes", tree.version, tuple(kmod.name for kmod in closure.kmods))
    return tree.sysroot.once(key, lambda: _make(tree, closure))


def _make(tree: KernelTree, closure: KmodClosure) -> dict[ImagePath, bytes]:
    infos = closure.infos
    indexes = Indexes(
        kmods=[_indexed(tree, name, infos) for name in tree.deps if name in infos],
        symbols=parse_symbols(tree.read_optional("modules.symbols") or "", infos),
        order=list(_order(tree, infos)),
        builtin=tree.read_optional("modules.builtin") or "",
        builtin_modinfo=tree.builtin_modinfo,
        with_weakdep=tree.read_optional("modules.weakdep") is not None,
    )
    try:
        files = write_indexes(indexes)
    except IndexFormatError as error:
        raise ConflictError(f"kernel {tree.version}: {error}") from error
    return {to_image(tree.path(name)): data for name, data in sorted(files.items())}


def _indexed(tree: KernelTree, name: str, infos: Mapping[str, ModInfo]) -> IndexedKmod:
    info, dep = infos[name], tree.deps[name]
    return IndexedKmod(
        name=name,
        path=split_suffix(dep.path)[0],
        needs=tuple(split_suffix(path)[0] for path in dep.needs if kmod_name(path) in infos),
        aliases=info.aliases,
        softdeps=info.softdeps,
        weakdeps=info.weakdeps,
    )


def _order(tree: KernelTree, names: Collection[str]) -> Iterator[str]:
    for path in tree.order:
        if kmod_name(path) in names:
            yield split_suffix(path)[0]
