"""Which kmods an image needs: the closure over what depmod and the kmods themselves say.

A wish is a kmod's name, an alias or modalias, a shell pattern over names, or `=DIR` for all
kmods below kernel/DIR. Followed are modules.dep, soft dependencies (both directions), weak
ones and firmware; what is part of the kernel satisfies a wish without a file.
"""

from __future__ import annotations

import fnmatch
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from dataclasses import field

from srbuild.errors import MissingInputError
from srbuild.formats.kmodfile import Unpack, UnpackError, split_suffix
from srbuild.formats.kmodindex import kmod_name
from srbuild.formats.modinfo import ModInfo, ModinfoError, Softdep
from srbuild.frozen import frozen, mutable
from srbuild.host.sysroot import Identity
from srbuild.kernels.firmware import find_firmware, firmware_dirs
from srbuild.kernels.modprobed import NO_RULES, Rules
from srbuild.kernels.tree import KernelTree, kernel_versions, load_modinfo, open_kernel
from srbuild.kernels.vermagic import Magic, refused
from srbuild.manifest import Reason
from srbuild.paths import ImagePath, SysrootPath, to_image

__all__ = [
    "KernelTree",
    "KmodClosure",
    "KmodFile",
    "KmodLink",
    "Missing",
    "Wish",
    "close_kmods",
    "kernel_versions",
    "open_kernel",
]


@frozen
class Wish:
    """Somebody wants a kmod (or a firmware file). An optional one may be absent.

    With `narrow`, `=DIR` stands for the drivers below DIR that match a device's modalias.
    """

    name: str
    reason: Reason
    optional: bool = False
    narrow: bool = False


@frozen
class KmodFile:
    """A kmod or firmware file of the image.

    `source` holds no link; its content is to be decompressed as `unpack` says, and `image`
    is named accordingly. `name` is the kmod's name or the firmware's path as first wished.
    """

    name: str
    source: SysrootPath
    image: ImagePath
    unpack: Unpack
    reasons: tuple[Reason, ...]


@frozen
class KmodLink:
    """A symlink that leads to a firmware file."""

    image: ImagePath
    target: str
    reasons: tuple[Reason, ...]


@frozen
class Missing:
    """A wish that was not met: `detail` is the whole sentence, `hint` the way out or empty."""

    name: str
    reason: Reason
    detail: str
    hint: str = ""


@frozen
class KmodClosure:
    """All that an image needs to load kmods; files and links sorted by image path.

    `builtin` are the names that were wished and are part of the kernel; `infos` tells what each of
    `kmods` says of itself, by name.
    """

    kernel: str
    kmods: tuple[KmodFile, ...]
    firmware: tuple[KmodFile, ...]
    links: tuple[KmodLink, ...]
    builtin: tuple[str, ...]
    missing: tuple[Missing, ...]
    notes: tuple[str, ...]
    infos: Mapping[str, ModInfo] = field(compare=False, repr=False)


def close_kmods(
    tree: KernelTree,
    wishes: Iterable[Wish],
    firmware: Iterable[Wish] = (),
    facts: MutableMapping[Identity, ModInfo] | None = None,
    modaliases: Iterable[str] = (),
    rules: Rules = NO_RULES,
) -> KmodClosure:
    """The closure of `wishes` and of the `firmware` asked for by name.

    `modaliases` are the devices that narrow wishes are about, `rules` what modprobe.d adds.
    `facts` keeps what was read of a kmod, by file identity, for the next call. What is not
    found is collected in `missing`; nothing is raised for it, but MissingInputError is for a
    damaged modules.dep.
    """
    dirs = firmware_dirs(tree.sysroot, tree.version)
    closure = _Closure(tree, {} if facts is None else facts, dirs, tuple(modaliases), rules)
    for wish in wishes:
        closure.wish(wish)
    closure.follow()
    for wish in firmware:
        closure.wish_firmware(wish)
    return closure.result()


@mutable
class _Chosen:
    """A kmod on its way into the image."""

    source: SysrootPath
    image: ImagePath
    unpack: Unpack
    reasons: list[Reason]
    info: ModInfo = field(default_factory=ModInfo)


@mutable
class _Closure:
    tree: KernelTree
    facts: MutableMapping[Identity, ModInfo]
    firmware_dirs: tuple[str, ...]
    modaliases: tuple[str, ...] = ()
    rules: Rules = NO_RULES
    _drivers: frozenset[str] | None = None  # of the modaliases; looked up when first needed
    chosen: dict[str, _Chosen] = field(default_factory=dict)
    queue: deque[str] = field(default_factory=deque)  # chosen, but not looked into
    firmware: dict[ImagePath, KmodFile] = field(default_factory=dict)
    links: dict[ImagePath, KmodLink] = field(default_factory=dict)
    builtin: set[str] = field(default_factory=set)
    missing: dict[str, Missing] = field(default_factory=dict)
    absent_firmware: dict[str, list[str]] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)

    def wish(self, wish: Wish) -> None:
        """Choose all that `wish` names."""
        names = self._names(wish.name)
        if names and wish.narrow and wish.name.startswith("="):
            self._choose_drivers(wish, names)
            return
        for name in names:
            self._choose(name, wish.reason)
        if names or self._take_builtin(wish.name):
            return
        kernel = self.tree.version
        if wish.optional:
            self.notes[f"{wish.name}, which is optional, is not in kernel {kernel}"] = None
        else:
            self._miss(
                wish.name,
                wish.reason,
                f"kernel {kernel} has no kmod, alias or built-in {wish.name}",
                _suggestion(wish.name, self.tree),
            )

    def _choose_drivers(self, wish: Wish, names: tuple[str, ...]) -> None:
        """Of `names`, choose what the inventoried devices ask for."""
        if self._drivers is None:
            found = (name for alias in self.modaliases for name in self.tree.aliases.find(alias))
            self._drivers = frozenset(found)
        drivers = [name for name in names if name in self._drivers]
        for name in drivers:
            self._choose(name, wish.reason)
        if not drivers:
            kernel = self.tree.version
            note = f"no kmod of {wish.name} in kernel {kernel} is for the inventoried hardware"
            self.notes[note] = None

    def follow(self) -> None:
        """Look into every chosen kmod, and choose what it leads to, until nothing is new."""
        while self.queue:
            name = self.queue.popleft()
            kmod = self.chosen[name]
            for path in self.tree.deps[name].needs:
                self._choose(kmod_name(path), Reason("depends", kmod.image))
            try:
                kmod.info = load_modinfo(self.tree.sysroot, kmod.source, self.facts)
            except (ModinfoError, UnpackError, OSError, MissingInputError) as error:
                detail = f"{kmod.source} is no readable kmod: {error}"
                self._miss(name, kmod.reasons[0], detail, "install its package again")
                continue
            self._follow_soft(name, kmod)
            self._follow_firmware(name, kmod)
        magics = (Magic(n, self.tree.deps[n].path, k.info.vermagic) for n, k in self.chosen.items())
        for name, detail, hint in refused(self.tree.version, magics):
            self._miss(name, self.chosen[name].reasons[0], detail, hint)

    def wish_firmware(self, wish: Wish) -> None:
        """Take the firmware that `wish` names; unlike a kmod's own, it must be there."""
        if self._take_firmware(wish.name, wish.reason):
            return
        if wish.optional:
            self.notes[f"firmware {wish.name}, which is optional, is not in the sysroot"] = None
        else:
            detail = f"no firmware {wish.name} in the sysroot"
            self._miss(wish.name, wish.reason, detail, "install the package that has it")

    def _names(self, wish: str) -> tuple[str, ...]:
        """The kmods that `wish` names; what is built in is none."""
        if wish.startswith("="):
            return self._below(wish[1:].strip("/"))
        name = wish.replace("-", "_")
        deps = self.tree.deps
        if _is_pattern(wish):
            return tuple(fnmatch.filter(deps, name))
        if name in deps:
            return (name,)
        if name in self.tree.builtins:
            return ()
        return tuple(kmod for kmod in self.tree.aliases.find(name) if kmod in deps)

    def _below(self, folder: str) -> tuple[str, ...]:
        """The kmods below kernel/`folder`, or that a newer file elsewhere has replaced."""
        prefix = f"kernel/{folder}/"
        paths = [*(dep.path for dep in self.tree.deps.values()), *self.tree.order]
        names = (kmod_name(path) for path in paths if path.startswith(prefix))
        return tuple(dict.fromkeys(name for name in names if name in self.tree.deps))

    def _take_builtin(self, wish: str) -> bool:
        """Record what of the kernel itself meets `wish`; whether anything does."""
        name = wish.replace("-", "_")
        if _is_pattern(wish):
            found = set(fnmatch.filter(self.tree.builtins, name))
        elif name in self.tree.builtins:
            found = {name}
        else:
            found = set(self.tree.builtin_aliases.find(name))
        self.builtin |= found
        return bool(found)

    def _choose(self, name: str, reason: Reason) -> None:
        known = self.chosen.get(name)
        if known is not None:
            if reason not in known.reasons and reason.by != known.image:
                known.reasons.append(reason)
            return
        dep = self.tree.deps.get(name)
        found = self.tree.sysroot.find(self.tree.path(dep.path)) if dep else None
        if dep is None or found is None:
            detail = f"kmod {name} stands in modules.dep, but its file is not there"
            hint = f"run: depmod -b {self.tree.sysroot.root} {self.tree.version}"
            self._miss(name, reason, detail, hint)
            return
        plain, unpack = split_suffix(dep.path)
        image = to_image(self.tree.path(plain))
        self.chosen[name] = _Chosen(found.path, image, unpack, [reason])
        self.queue.append(name)

    def _follow_soft(self, name: str, kmod: _Chosen) -> None:
        soft = self.tree.softdeps.get(name, Softdep())
        info = kmod.info
        groups = (
            ("modprobe.d", self.rules.leads_to.get(name, ())),
            ("softdep", (*soft.pre, *soft.post, *soft.other)),
            ("softdep", (*info.softdep_pre, *info.softdep_post, *info.softdep_other)),
            ("weakdep", (*self.tree.weakdeps.get(name, ()), *info.weakdep)),
        )
        for how, wishes in groups:
            for wish in wishes:
                names = self._names(wish)
                for target in names:
                    self._choose(target, Reason(how, kmod.image))
                if not names and not self._take_builtin(wish):
                    note = f"{how} of {name}: {wish} is not in kernel {self.tree.version}"
                    self.notes[note] = None

    def _follow_firmware(self, name: str, kmod: _Chosen) -> None:
        reason = Reason("firmware", kmod.image)
        absent = [one for one in kmod.info.firmware if not self._take_firmware(one, reason)]
        if absent:
            self.absent_firmware[name] = absent

    def _take_firmware(self, name: str, reason: Reason) -> bool:
        files, links = find_firmware(self.tree.sysroot, self.firmware_dirs, name)
        for file in files:
            known = self.firmware.get(file.image)
            reasons = _added(known.reasons if known else (), reason)
            first = known.name if known else name
            self.firmware[file.image] = KmodFile(
                first, file.source, file.image, file.unpack, reasons
            )
        for link in links:
            old = self.links.get(link.image)
            reasons = _added(old.reasons if old else (), reason)
            self.links[link.image] = KmodLink(link.image, link.target, reasons)
        return bool(files)

    def _miss(self, name: str, reason: Reason, detail: str, hint: str) -> None:
        self.missing.setdefault(name, Missing(name, reason, detail, hint))

    def result(self) -> KmodClosure:
        """What was chosen, in the order that makes two runs the same."""
        kmods = [
            KmodFile(name, one.source, one.image, one.unpack, tuple(one.reasons))
            for name, one in self.chosen.items()
        ]
        return KmodClosure(
            kernel=self.tree.version,
            kmods=tuple(sorted(kmods, key=lambda kmod: kmod.image)),
            firmware=tuple(self.firmware[image] for image in sorted(self.firmware)),
            links=tuple(self.links[image] for image in sorted(self.links)),
            builtin=tuple(sorted(self.builtin)),
            missing=tuple(self.missing.values()),
            notes=(*self.notes, *self._firmware_notes()),
            infos={name: one.info for name, one in self.chosen.items()},
        )

    def _firmware_notes(self) -> Iterator[str]:
        """One sentence for all: distributions pack most firmware apart, and few nodes need it."""
        rows = [
            f"{name} ({', '.join(self.absent_firmware[name])})" for name in self.absent_firmware
        ]
        if rows:
            yield f"the sysroot lacks firmware of {len(rows)} kmods: {', '.join(sorted(rows))}"


def _is_pattern(wish: str) -> bool:
    return ":" not in wish and any(char in wish for char in "*?[")


def _added(reasons: tuple[Reason, ...], reason: Reason) -> tuple[Reason, ...]:
    return reasons if reason in reasons else (*reasons, reason)


def _suggestion(name: str, tree: KernelTree) -> str:
    import difflib

    near = difflib.get_close_matches(name.replace("-", "_"), tree.deps, n=1, cutoff=0.75)
    return f"did you mean {near[0]}?" if near else ""
