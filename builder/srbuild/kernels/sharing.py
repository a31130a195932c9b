"""Which segment each kmod stands in, so that images of other block devices or file systems share.

The drivers of networks are most of any image and the same in all; they must not be packed anew
because another file system wants a kmod of its own. So a kmod stands with the first, in the order
of segments, of the kinds of boot modules that want it, themselves or by way of other kmods.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping, Sequence

from srbuild.errors import Origin
from srbuild.formats.modinfo import ModInfo
from srbuild.host.sysroot import Identity
from srbuild.kernels.kmods import KmodClosure, KmodFile, KmodLink, Wish, close_kmods
from srbuild.kernels.modprobed import Rules
from srbuild.kernels.tree import KernelTree
from srbuild.layers import SEGMENTS
from srbuild.paths import ImagePath

COMMON = "kmods"  # those that every image wants: of the kinds base and net
OTHER = "kmods-more"  # those that no boot module wants: the user's own wishes


def close_once(
    tree: KernelTree,
    wishes: Sequence[Wish],
    firmware: Sequence[Wish],
    facts: MutableMapping[Identity, ModInfo],
    modaliases: Sequence[str],
    rules: Rules,
) -> KmodClosure:
    """`close_kmods`, once for all images of the tree that ask for the same."""
    asked = (tuple(wishes), tuple(firmware), tuple(modaliases))
    told = (tuple(sorted(rules.leads_to.items())), tuple(sorted(rules.installs)))
    return tree.sysroot.once(
        ("kmods", tree.version, asked, told),
        lambda: close_kmods(tree, wishes, firmware, facts, modaliases, rules),
    )


def kmod_segment(kind: str) -> str:
    """The segment of the kmods that boot modules of `kind` want; "" for wishes of no module."""
    if kind in ("base", "net"):
        return COMMON
    return f"kmods-{kind}" if kind else OTHER


def place_kmods(closure: KmodClosure, segment_of: Callable[[Origin], str]) -> dict[ImagePath, str]:
    """The segment of every kmod, firmware file and link of `closure`.

    `segment_of` tells the segment of what was asked for at an origin.
    """
    wanted_by: dict[ImagePath, list[ImagePath]] = {}
    asked: list[tuple[int, ImagePath]] = []
    items: list[KmodFile | KmodLink] = [*closure.kmods, *closure.firmware, *closure.links]
    for item in items:
        for by in (reason.by for reason in item.reasons):
            if isinstance(by, Origin):
                asked.append((SEGMENTS.index(segment_of(by)), item.image))
            else:
                wanted_by.setdefault(by, []).append(item.image)
    placed: dict[ImagePath, str] = {}
    for rank, first in sorted(asked):
        todo = [first]
        while todo:
            image = todo.pop()
            if image not in placed:
                placed[image] = SEGMENTS[rank]
                todo += wanted_by.get(image, ())
    return placed
