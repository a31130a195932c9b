"""Collecting: every request of a plan is met from the sysroot, or reported with all others.

Segments are closed over in image order, so that a library which several of them want stands
in the earliest. What can't be met never passes as a warning: all of it is raised together,
each with who wanted it and the package that would supply it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from functools import cached_property

from srbuild.bootmodule import Module
from srbuild.choices import check_cpu, check_features, note_left_out
from srbuild.closure.closer import PROGRAM_DIRS, Closure, ElfCloser, Seed
from srbuild.closure.libraries import present_dirs
from srbuild.config.convert import collect
from srbuild.config.load import Config
from srbuild.errors import ConflictError, MissingInputError, Origin, SrbuildError, raise_all
from srbuild.facts import elf_facts, kmod_facts
from srbuild.formats.ldcache import build_ldcache
from srbuild.frozen import frozen
from srbuild.host.cache import FactStore
from srbuild.host.sysroot import Sysroot, identity
from srbuild.kernels import kmods
from srbuild.kernels.indexes import index_files
from srbuild.kernels.microcode import find_microcode
from srbuild.kernels.modprobed import image_rules, left_out
from srbuild.kernels.sharing import close_once, kmod_segment, place_kmods
from srbuild.kernels.tree import KernelTree, open_kernels
from srbuild.layers import SEGMENTS, TABLES
from srbuild.losses import Losses
from srbuild.manifest import Content, Dir, Entry, File, Inline, Manifest, Reason, Symlink
from srbuild.paths import ImagePath, SysrootPath, image_path, parents, sysroot_path, to_image
from srbuild.plan import Plan
from srbuild.render import RenderedFile, render_image, render_site
from srbuild.requests import (
    Binary,
    Copy,
    Data,
    Firmware,
    Folder,
    Kmod,
    Library,
    Own,
    Plugin,
    Request,
)
from srbuild.skeleton import SKELETON, new_dir, skeleton
from srbuild.supply import Supply, tell

LD_CACHE = image_path("/etc/ld.so.cache")


def collect_manifest(plan: Plan, sysroot: Sysroot, facts: FactStore) -> Manifest:
    """Meet all requests of `plan`.

    `facts` keeps what is read of each file for the next build. Raises MissingInputError for
    what the sysroot lacks and ConflictError for two files at one path, all of them together;
    ConfigError and the like for templates that fail.
    """
    microcode, lacking = find_microcode(sysroot, plan.config.microcode)
    draft = _Draft(sysroot, plan.modules, lacking)
    draft.add_skeleton()
    for request in (*microcode, *plan.requests):
        draft.add_own(request)
    for file in render_image(plan):
        draft.add_rendered(file, "base")
    for file in render_site(plan):
        draft.add_rendered(file, "site")
    config = plan.config
    closer = ElfCloser(
        sysroot,
        facts=elf_facts(facts),
        provided=draft.entries.keys(),
        features={wish.value for wish in config.features},
        cpu=config.cpu.value if config.cpu else None,
    )
    for segment in SEGMENTS:
        wanted = (r for r in plan.requests if getattr(r, "segment", None) == segment)
        # One after the other: the first program tells what the image is for.
        seeds = (seed for request in wanted for seed in draft.seeds(request, closer))
        draft.add_closure(closer.close(seeds), segment)
    if closer.cache_entries:
        machine = closer.machine
        data = build_ldcache(closer.cache_entries, machine.endian if machine else "little")
        draft.put(LD_CACHE, Inline(data), TABLES, Reason("ld.so.conf", SKELETON))
    draft.check_choices(config, closer)
    return draft.finish(*draft.add_kernels(plan, facts))


def collect_kmods(plan: Plan, sysroot: Sysroot, facts: FactStore) -> Manifest:
    """What of the kernels the image will have unless its other files change it; see `headstart`.

    Raises SrbuildError when anything is amiss.
    """
    draft = _Draft(sysroot, plan.modules, ())
    draft.add_skeleton()
    return draft.finish(*draft.add_kernels(plan, facts, with_index=False))


def collect_site(plan: Plan) -> Manifest:
    """The site part alone: what the cluster file adds to an image, without any sysroot."""
    draft = _Draft(None, (), ())
    for file in render_site(plan):
        draft.add_rendered(file, "site")
    return draft.finish()


@frozen
class _Draftee:
    """An entry in the making: its reasons still grow."""

    content: Content
    segment: str
    reasons: list[Reason]
    secret: bool


class _Draft:
    """The manifest in the making."""

    def __init__(
        self, sysroot: Sysroot | None, modules: Sequence[Module], errors: Sequence[SrbuildError]
    ) -> None:
        self._sysroot = sysroot
        self._modules = modules
        self.entries: dict[ImagePath, _Draftee] = {}
        self._errors = [*errors]
        self._notes: list[str] = []
        self._losses = Losses()

    @property
    def sysroot(self) -> Sysroot:
        assert self._sysroot is not None, "only the site part does without a sysroot"
        return self._sysroot

    @cached_property
    def _supply(self) -> Supply:
        return Supply(self.sysroot, self._modules)

    # --- putting ------------------------------------------------------------------------------

    def put(
        self,
        path: ImagePath,
        content: Content,
        segment: str,
        *reasons: Reason,
        secret: bool = False,
    ) -> None:
        """Put `content` at `path`, or add the reasons to the same content there.

        The first wish for a directory decides on its mode.
        """
        known = self.entries.get(path)
        if known is None:
            self.entries[path] = _Draftee(content, segment, list(reasons), secret)
        elif known.content == content or (
            isinstance(content, Dir) and isinstance(known.content, Dir)
        ):
            known.reasons.extend(reason for reason in reasons if reason not in known.reasons)
        else:
            who = ", ".join(str(reason.by) for reason in (known.reasons[0], *reasons))
            message = f"two different things are wanted at {path} (by {who})"
            self._errors.append(ConflictError(message, "leave one of the two out"))

    def put_file(
        self, path: ImagePath, source: SysrootPath, segment: str, *reasons: Reason
    ) -> None:
        """Put the sysroot's file at `source`, which holds no link, as it is."""
        content = self._read(path, source, reasons[0])
        if content is not None:
            self.put(path, content, segment, *reasons)

    def _read(
        self, path: ImagePath, source: SysrootPath, reason: Reason, unpack: str = ""
    ) -> File | Dir | None:
        """What stands at `source`; None, and an error, when the image can't have it."""
        host, status = self.sysroot.host(source), self.sysroot.lstat(source)
        mode = stat.S_IMODE(status.st_mode)
        if stat.S_ISREG(status.st_mode):
            self._losses.look_at(path, status, self.sysroot.attributes(source))
            return File(host, status.st_size, mode, identity(status), unpack)
        if stat.S_ISDIR(status.st_mode):
            return Dir(mode)
        self._lack(f"{source} in the sysroot is neither file nor directory", reason)
        return None

    # --- srbuild's own parts ------------------------------------------------------------------

    def add_skeleton(self) -> None:
        """Put what every image has, before any module's wish."""
        for path, content in skeleton():
            self.put(path, content, "base", Reason("skeleton", SKELETON))

    def add_own(self, request: Request) -> None:
        """Meet a request that needs no sysroot; others are left for `seeds` and `add_kmods`."""
        match request:
            case Own(source=source, target=target, mode=mode, origin=origin, segment=segment):
                status = source.stat()
                content = File(str(source), status.st_size, mode, identity(status))
                self.put(target, content, segment, Reason("own file", origin))
            case Data(target=target, data=data, origin=origin, segment=segment, how=how):
                self.put(target, Inline(data), segment, Reason(how, origin))
            case Folder(target=target, origin=origin, segment=segment):
                self.put(target, Dir(), segment, Reason("directory", origin))

    def add_rendered(self, file: RenderedFile, segment: str) -> None:
        """Put a rendered file."""
        content = Inline(file.data, file.mode)
        reason = Reason("template", file.origin)
        self.put(file.target, content, segment, reason, secret=file.secret)

    # --- files of the sysroot -----------------------------------------------------------------

    def seeds(self, request: Request, closer: ElfCloser) -> list[Seed]:
        """The sysroot files that `request` names and that are to be closed over; others are put."""
        match request:
            case Binary(name=name, origin=origin):
                where = "the sysroot" if "/" in name else "a program directory of the sysroot"
                return self._seed(name, self._program(name), Reason("binary", origin), where)
            case Library(name=name, origin=origin):
                where = "a library directory of the sysroot"
                return self._seed(name, self._library(name), Reason("library", origin), where)
            case Plugin(pattern=pattern, origin=origin):
                reason = Reason("plugin", origin)
                found = self._glob(pattern)
                if "{libdir}" in pattern and closer.machine:  # a biarch tree has both
                    found = [path for path in found if closer.abi(path) in (None, closer.machine)]
                return self._seed(pattern, found, reason, "the sysroot")
            case Copy(pattern=pattern, target=None, origin=origin, segment=segment):
                return self._globbed(pattern, segment, Reason("file", origin))
            case Copy(pattern=pattern, target=target, origin=origin, segment=segment):
                assert target is not None
                self._copy(pattern, target, segment, Reason("file", origin))
        return []

    def _program(self, name: str) -> list[SysrootPath]:
        places = [name] if "/" in name else [f"{folder}/{name}" for folder in PROGRAM_DIRS]
        paths = (sysroot_path(place) for place in places)
        return [path for path in paths if self.sysroot.is_file(path)][:1]

    def _library(self, name: str) -> list[SysrootPath]:
        if "/" in name:
            return self.sysroot.glob(name)
        dirs = present_dirs(self.sysroot)
        return next(filter(None, (self.sysroot.glob(f"{folder}/{name}") for folder in dirs)), [])

    def _globbed(self, pattern: str, segment: str, reason: Reason) -> list[Seed]:
        """The files that match `pattern`; a wildcard's directories are put as such, empty."""
        found = self._glob(pattern)
        dirs = [path for path in found if self._is_dir(path)] if set("*?[") & set(pattern) else []
        for path in dirs:
            self.put_file(to_image(path), self.sysroot.resolve(path).path, segment, reason)
        files = [path for path in found if path not in dirs]
        return [] if dirs and not files else self._seed(pattern, files, reason, "the sysroot")

    def _is_dir(self, path: SysrootPath) -> bool:
        """Whether a directory stands at `path`, not a link to one."""
        found = self.sysroot.find(path)
        if found is None or to_image(found.path) != to_image(path):
            return False
        return stat.S_ISDIR(self.sysroot.stat(path).st_mode)

    def _glob(self, pattern: str) -> list[SysrootPath]:
        """What matches `pattern` in the sysroot, `{libdir}` being each library directory."""
        patterns = [pattern]
        if "{libdir}" in pattern:
            patterns = [pattern.replace("{libdir}", d) for d in present_dirs(self.sysroot)]
        return list(dict.fromkeys(path for one in patterns for path in self.sysroot.glob(one)))

    def _seed(self, name: str, found: list[SysrootPath], reason: Reason, where: str) -> list[Seed]:
        if not found:
            self._lack(f"{name} is not in {where}", reason, name)
        return [Seed(path, reason) for path in found]

    def _copy(self, pattern: str, target: ImagePath, segment: str, reason: Reason) -> None:
        found = self._glob(pattern)
        if len(found) > 1:
            message = f"{pattern} matches {len(found)} files, but {target} can be one of them only"
            self._errors.append(ConflictError(message, "name one", _origin(reason)))
        elif found and (real := self.sysroot.find(found[0])):
            self.put_file(target, real.path, segment, reason)
        else:
            self._lack(f"{pattern} is not in the sysroot", reason, pattern)

    def add_closure(self, closure: Closure, segment: str) -> None:
        """Put what one call of the closer found; note what it missed."""
        for found in closure.new:
            path = to_image(found.path)
            if found.kind == "link":
                self.put(path, Symlink(found.target), segment, *found.reasons)
            else:
                self.put_file(path, found.path, segment, *found.reasons)
        for again, reasons in closure.again.items():
            known = self.entries[to_image(again)].reasons
            known.extend(reason for reason in reasons if reason not in known)
        self._notes += closure.notes
        self._errors += self._supply.errors(closure.missing)

    def check_choices(self, config: Config, closer: ElfCloser) -> None:
        """Refuse what was chosen and means nothing here; note what could be chosen."""
        if config.cpu:
            self._errors += check_cpu(config.cpu, closer.machine)
        self._errors += check_features(config.features, closer.known_features)
        self._notes += note_left_out(closer)

    # --- kernel -------------------------------------------------------------------------------

    def add_kernels(
        self, plan: Plan, facts: FactStore, *, with_index: bool = True
    ) -> tuple[str, ...]:
        """Put what the plan wants of its kernels, and depmod's indexes of it; their versions."""
        versions = plan.config.kernels
        with collect(self._errors):
            kernels = open_kernels(self.sysroot, versions, Origin("--kernel") if versions else None)
            for kernel in kernels:
                closure = self._add_kmods(plan, kernel, facts)
                index = Reason("depmod index", Origin(f"kernel {kernel.version}"))
                for path, data in index_files(kernel, closure).items() if with_index else ():
                    self.put(path, Inline(data), TABLES, index)
            return tuple(kernel.version for kernel in kernels)
        return ()

    def _add_kmods(self, plan: Plan, kernel: KernelTree, facts: FactStore) -> kmods.KmodClosure:
        """Put the kernel modules and their firmware."""
        wishes = [
            kmods.Wish(r.name, Reason("kmod", r.origin), r.optional, r.narrow)
            for r in plan.requests
            if isinstance(r, Kmod)
        ]
        firmware = [
            kmods.Wish(r.pattern, Reason("firmware", r.origin))
            for r in plan.requests
            if isinstance(r, Firmware)
        ]
        modaliases = plan.config.modaliases or ()
        rules = image_rules(((p, e.content) for p, e in self.entries.items()), self.sysroot)
        closure = close_once(kernel, wishes, firmware, kmod_facts(facts), modaliases, rules)
        names = {file.name for file in closure.kmods}
        self._errors += rules.conflicts(names)
        self._notes += left_out(self.sysroot, self.entries, names)
        kinds = {f"module {module.name}": module.kind for module in plan.modules}
        places = place_kmods(closure, lambda by: kmod_segment(kinds.get(by.source, "")))
        for file in (*closure.kmods, *closure.firmware):
            content = self._read(file.image, file.source, file.reasons[0], file.unpack)
            if content is not None:
                self.put(file.image, content, places[file.image], *file.reasons)
        for link in closure.links:
            self.put(link.image, Symlink(link.target), places[link.image], *link.reasons)
        self._notes += closure.notes
        for missing in closure.missing:
            wanted = f"\n  wanted by {tell((missing.reason,))}"
            hint = self._supply.kmod_hint(missing)
            self._errors.append(MissingInputError(missing.detail + wanted, hint))
        return closure

    # --- errors and the end -------------------------------------------------------------------

    def _lack(self, message: str, reason: Reason, name: str = "") -> None:
        origin = _origin(reason)
        hint = self._supply.hint(name, [origin] if origin else []) if name else ""
        self._errors.append(MissingInputError(message, hint, origin))

    def finish(self, *kernels: str) -> Manifest:
        """The finished manifest: sorted, with every directory above every entry.

        Of several `kernels` the first is the one that nodes boot unless told otherwise.
        Raises everything that went wrong, if anything did.
        """
        for path, draftee in list(self.entries.items()):
            below = path
            for parent in map(ImagePath, reversed(parents(path))):
                reason = Reason("parent", below)
                above = self.entries.get(parent)
                if above and isinstance(above.content, Dir | Symlink):
                    above.reasons.append(reason)
                    break  # what stands above it is its own turn's
                self.put(parent, new_dir(parent), draftee.segment, reason)
                below = parent
        raise_all(self._errors)
        entries = {
            path: Entry(d.content, d.segment, tuple(d.reasons), d.secret)
            for path, d in sorted(self.entries.items(), key=lambda item: os.fsencode(item[0]))
        }
        notes = (*dict.fromkeys(self._notes), *self._losses.notes())
        return Manifest(entries, kernels[0] if kernels else "", notes, kernels=kernels)


def _origin(reason: Reason) -> Origin | None:
    return reason.by if isinstance(reason.by, Origin) else None
