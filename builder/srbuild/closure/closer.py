"""The ELF closure: every file that a program needs before its own code runs.

Each program is followed as its own loader would load it: breadth first through DT_NEEDED,
one link map a program, so that a library that is already loaded under a wanted name is not
looked for again. Then come the libraries that it declares to dlopen, its PT_INTERP, and for
scripts the interpreters. Nothing is executed and no error ends the walk: whatever is missing
is collected with the chain that wanted it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping, MutableMapping
from dataclasses import field

from srbuild.closure.entries import Entries, Found
from srbuild.closure.libc import LIBC, SERVES_CALLS, UNWINDER, has_services_apart, name_services
from srbuild.closure.libraries import Hit, Libraries, UnusableError
from srbuild.closure.search import (
    Abi,
    Loader,
    Mapped,
    abi_of,
    expand,
    find_loader,
    library_dirs,
    mapped,
    runs_beside,
)
from srbuild.formats.elf import ET_DYN, ET_EXEC, DlopenNote, ElfInfo
from srbuild.formats.ldcache import CacheEntry, cache_flags
from srbuild.formats.script import SHEBANG_MAX, parse_shebang
from srbuild.frozen import frozen, mutable
from srbuild.host.sysroot import Identity, Resolved, Sysroot
from srbuild.manifest import Reason
from srbuild.paths import ImagePath, SysrootPath, sysroot_path, to_image

PROGRAM_DIRS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_MAX_SCRIPTS = 5  # one interpreting the next; the kernel's own limit (exec_binprm in fs/exec.c)
# How names begin that musl's loader serves itself (load_library in ldso/dynlink.c).
_MUSL_OWN = tuple(f"lib{name}." for name in ("c", "pthread", "rt", "m", "dl", "util", "xnet"))


@frozen
class Seed:
    """A file that the image must hold with all that it needs, and who wishes it."""

    path: SysrootPath
    reason: Reason


@frozen
class Missing:
    """A name that leads to nothing usable.

    `chain` goes from the wish up to the Origin that started it, `searched` are the
    directories in the order that the loader would look in. `problem` says what stands there
    instead, as a clause after the name; empty when there is simply nothing.
    """

    name: str
    chain: tuple[Reason, ...]
    searched: tuple[str, ...] = ()
    problem: str = ""


@frozen
class Closure:
    """What one call of `ElfCloser.close` found.

    `new` are entries that no earlier call gave, in order of discovery; `again` are further
    reasons for entries of earlier calls. `notes` are sentences for the user. What is missing
    and what is noted is told once, too.
    """

    new: tuple[Found, ...]
    again: Mapping[SysrootPath, tuple[Reason, ...]]
    missing: tuple[Missing, ...]
    notes: tuple[str, ...]


@mutable
class _LinkMap:
    """The objects of one program by name (with the entry found for it) and by path."""

    loader: Loader
    names: dict[str, tuple[Mapped, SysrootPath]] = field(default_factory=dict)
    paths: dict[SysrootPath, Mapped] = field(default_factory=dict)
    queue: deque[Mapped] = field(default_factory=deque)
    optional: deque[tuple[Mapped, DlopenNote]] = field(default_factory=deque)
    callers: deque[Mapped] = field(default_factory=deque)

    def add(self, item: Mapped, entry: SysrootPath, *names: str) -> None:
        """Take `item` in under `names` and, as glibc does, under its soname."""
        self.paths[item.path] = item
        self.queue.append(item)
        soname = None if self.loader.is_musl else item.info.soname
        for name in (*names, soname):
            if name:
                self.names.setdefault(name, (item, entry))


class ElfCloser:
    """Closes seeds over a sysroot, call after call; each call gives only what is new.

    `machine` is the ABI of the image's programs, by default that of the first seed; others
    are accepted only if the same kernel runs them. `facts` keeps what was read of each file
    across builds. `provided` are paths that the image gets otherwise (busybox's /usr/bin/sh,
    say), `features` the dlopen features asked for beyond the required and recommended ones,
    `cpu` the best level of processor to ship glibc-hwcaps variants for (None: all levels).
    """

    def __init__(
        self,
        sysroot: Sysroot,
        *,
        machine: Abi | None = None,
        facts: MutableMapping[Identity, ElfInfo | None] | None = None,
        provided: Collection[ImagePath] = (),
        features: Collection[str] = (),
        cpu: str | None = None,
    ) -> None:
        self._sysroot = sysroot
        self._machine = machine
        self._libraries = Libraries(sysroot, {} if facts is None else facts, cpu)
        self._provided = frozenset(provided)
        self._features = frozenset(features)
        self._entries = Entries(sysroot)
        self._loaders: dict[tuple[str | None, Abi], Loader] = {}
        self._closed: set[SysrootPath] = set()
        self._missing: dict[tuple[str, Reason], Missing] = {}
        self._notes: dict[str, None] = {}
        self._cache: dict[tuple[str, int, str], CacheEntry] = {}
        self._left_out: dict[str, dict[str, None]] = {}
        self._known_features: set[str] = set()
        self._loaded: set[str] = set()

    def close(self, seeds: Iterable[Seed]) -> Closure:
        """Close `seeds`, in order."""
        missing, notes = len(self._missing), len(self._notes)
        for seed in seeds:
            self._wish(seed.path, seed.reason)
        new, again = self._entries.take()
        now_missing = tuple(self._missing.values())[missing:]
        return Closure(new, again, now_missing, tuple(self._notes)[notes:])

    @property
    def machine(self) -> Abi | None:
        """The ABI of the image's programs; None while none is known."""
        return self._machine

    def abi(self, path: SysrootPath) -> Abi | None:
        """The ABI of the ELF file that `path` leads to; None for anything else."""
        return self._libraries.abi(path)

    @property
    def cache_entries(self) -> tuple[CacheEntry, ...]:
        """What /etc/ld.so.cache must name: the libraries found through ld.so.conf alone."""
        return tuple(sorted(self._cache.values()))

    @property
    def known_features(self) -> frozenset[str]:
        """The features that dlopen notes of what was closed over name, of any priority."""
        return frozenset(self._known_features - {""})

    @property
    def left_out(self) -> Mapping[str, tuple[str, ...]]:
        """Feature → sonames of the notes that suggest it, where nothing brought them in."""
        rest = {
            feature: tuple(name for name in names if name not in self._loaded)
            for feature, names in sorted(self._left_out.items())
        }
        return {feature: names for feature, names in rest.items() if names}

    def _wish(self, path: SysrootPath, reason: Reason, depth: int = 0) -> None:
        """Take in the file at `path` and, once, whatever it needs.

        `depth` is the number of scripts that it interprets, each the one before.
        """
        found = self._sysroot.find(path)
        if found is None:
            self._miss(path, reason)
            return
        try:
            info = self._libraries.info(found.path)
        except UnusableError as problem:
            self._miss(path, reason, problem=str(problem))
            return
        self._entries.admit(path, found, reason)
        if found.path in self._closed:
            return
        self._closed.add(found.path)
        if info is None:
            self._close_script(found.path, depth)
        elif info.type in (ET_EXEC, ET_DYN):
            self._close_program(path, found, info, reason)

    def _close_script(self, path: SysrootPath, depth: int) -> None:
        """The interpreters of an executable script, as execve(2) and env(1) find them."""
        status = self._sysroot.stat(path)
        if not status.st_mode & 0o111 or status.st_size < 3:
            return
        with self._sysroot.open(path) as file:
            shebang = parse_shebang(file.read(SHEBANG_MAX))
        if shebang is None:
            return
        reason = Reason("shebang", to_image(path))
        if not shebang.interpreter.startswith("/"):
            problem = "is an interpreter named without its directory"
            self._miss(shebang.interpreter, reason, problem=problem)
            return
        if depth == _MAX_SCRIPTS:
            problem = f"stands behind a chain of more than {_MAX_SCRIPTS} scripts"
            self._miss(shebang.interpreter, reason, problem=problem)
            return
        self._wish_unless_provided([shebang.interpreter], shebang.interpreter, reason, depth + 1)
        program = shebang.env_program
        if program:
            paths = [program] if "/" in program else [f"{d}/{program}" for d in PROGRAM_DIRS]
            self._wish_unless_provided(paths, program, reason, depth + 1)

    def _wish_unless_provided(
        self, paths: list[str], name: str, reason: Reason, depth: int
    ) -> None:
        """Take in the first of `paths` that exists, or nothing if the image has one anyway."""
        found = [sysroot_path(path) for path in paths]
        if any(to_image(path) in self._provided for path in found):
            return
        best = next((path for path in found if self._sysroot.exists(path)), None)
        if best is None:
            dirs = tuple(path.rpartition("/")[0] for path in paths) if len(paths) > 1 else ()
            self._miss(name, reason, dirs)
        else:
            self._wish(best, reason, depth)

    def _close_program(
        self, asked: SysrootPath, found: Resolved, info: ElfInfo, reason: Reason
    ) -> None:
        abi = abi_of(info)
        self._machine = self._machine or abi
        if not runs_beside(abi, self._machine):
            self._miss(asked, reason, problem=f"is for {abi}, the image for {self._machine}")
            return
        if not info.is_dynamic:
            return
        # The kernel tells a program its own resolved path; a plug-in's is as it was opened.
        link_map = _LinkMap(self._loader(info.interp, abi))
        opened = asked if info.interp is None else found.path
        root = mapped(found.path, opened, info, None, link_map.loader)
        link_map.add(root, found.path, found.path, asked)
        if info.interp is not None:
            self._add_interpreter(link_map, info.interp, Reason("PT_INTERP", to_image(root.path)))
        self._load_all(link_map)

    def _loader(self, interp: str | None, abi: Abi) -> Loader:
        """The loader's rules; a plug-in without PT_INTERP gets the first program's ones."""
        loader = self._loaders.get((interp, abi))
        if loader is None:
            loader = find_loader(self._sysroot, interp, abi)
            self._loaders[interp, abi] = loader
            if interp is not None:
                self._loaders.setdefault((None, abi), loader)
        return loader

    def _add_interpreter(self, link_map: _LinkMap, interp: str, reason: Reason) -> None:
        found = self._sysroot.find(SysrootPath(interp)) if interp.startswith("/") else None
        if found is None:
            self._miss(interp, reason)
            return
        entry = self._entries.admit(interp, found, reason)
        self._closed.add(found.path)
        try:
            info = self._libraries.library(found.path, link_map.loader.abi)
        except UnusableError as problem:
            self._miss(interp, reason, problem=str(problem))
            return
        link_map.add(mapped(found.path, interp, info, None, link_map.loader), entry, interp)
        for config in link_map.loader.config:
            self._wish(config, Reason("musl path file", to_image(found.path)))

    def _load_all(self, link_map: _LinkMap) -> None:
        """Breadth first through DT_NEEDED; only then, as a program would, through dlopen."""
        while link_map.queue or link_map.optional or link_map.callers:
            while link_map.queue:
                item = link_map.queue.popleft()
                for name in item.info.needed:
                    self._load(link_map, item, name, "DT_NEEDED")
                link_map.optional.extend((item, note) for note in item.info.dlopen)
                link_map.callers.append(item)
            if link_map.optional:
                self._load_optional(link_map, *link_map.optional.popleft())
            elif link_map.callers:
                self._load_for_calls(link_map, link_map.callers.popleft())

    def _load_for_calls(self, link_map: _LinkMap, item: Mapped) -> None:
        """What glibc opens, by its own search path, for the calls that `item` makes."""
        libc = link_map.names.get(LIBC)
        if libc is None or item.info.soname in SERVES_CALLS:
            return
        wishes = [(call, UNWINDER) for call in item.info.calls]
        if has_services_apart(libc[0].path):
            wishes += name_services(self._libraries.strings(item.path, item.info))
        for call, name in wishes:
            self._load(link_map, item, name, call, opener=libc[0])

    def _load_optional(self, link_map: _LinkMap, item: Mapped, note: DlopenNote) -> None:
        self._known_features.add(note.feature)
        if note.priority == "suggested" and note.feature not in self._features:
            self._left_out.setdefault(note.feature, {})[note.sonames[0]] = None
            return
        if any(self._load(link_map, item, name, "dlopen", final=False) for name in note.sonames):
            return
        names = " or ".join(note.sonames)
        who = to_image(item.path)
        if note.priority != "recommended":
            dirs = [d for ds in library_dirs(note.sonames[0], item, link_map.loader) for d in ds]
            self._miss(names, Reason("dlopen", who), tuple(dict.fromkeys(dirs)))
            return
        purpose = f" for {note.feature}" if note.feature else ""
        self._notes[f"{who} can use {names}{purpose}, which the sysroot lacks: left out"] = None

    def _load(
        self,
        link_map: _LinkMap,
        item: Mapped,
        text: str,
        how: str,
        *,
        final: bool = True,
        opener: Mapped | None = None,
    ) -> bool:
        """Bring the library `text` into the link map on the wish of `item`.

        It is looked for where `opener` would, which is `item` itself by default. Tells whether
        it is there. When it is not and `final` is set, it is noted as missing.
        """
        loader = link_map.loader
        opener = opener or item
        name = expand(text, opener.origin, loader) or text
        known = link_map.names.get(name)
        if known:
            self._entries.again(known[1], how, item.path)
            return True
        if loader.is_musl and name.startswith(_MUSL_OWN):
            return True
        groups = library_dirs(name, opener, loader) if "/" not in name else ((), (), ())
        hit: Hit | None = None
        problem = ""
        try:
            hit = self._libraries.find(name, groups, loader)
        except UnusableError as error:
            problem = str(error)
        if hit is None:
            if final or problem:
                reason = Reason(how, to_image(item.path))
                self._miss(
                    name, reason, tuple(dict.fromkeys(d for g in groups for d in g)), problem
                )
            return False
        self._map(link_map, item, name, hit, how)
        return True

    def _map(self, link_map: _LinkMap, item: Mapped, name: str, hit: Hit, how: str) -> None:
        entry = self._entries.admit_for(hit.asked, hit.found, how, item.path)
        self._loaded.add(name)
        if clash := self._entries.clash(hit.asked):
            self._miss(name, Reason(how, to_image(item.path)), problem=clash)
            return
        for one in (hit, *hit.variants):
            if one.needs_cache:
                self._remember_for_cache(name, one, Reason(how, to_image(item.path)))
        known = link_map.paths.get(hit.found.path)
        if known:
            link_map.names[name] = (known, entry)
            return
        library = mapped(hit.found.path, hit.asked, hit.info, item, link_map.loader)
        link_map.add(library, entry, name, hit.asked)
        for better in hit.variants:
            self._entries.admit_for(better.asked, better.found, "glibc-hwcaps", item.path)
            if better.found.path not in link_map.paths:
                found = better.found.path
                variant = mapped(found, better.asked, better.info, item, link_map.loader)
                link_map.paths[found] = variant
                link_map.queue.append(variant)

    def _remember_for_cache(self, name: str, hit: Hit, reason: Reason) -> None:
        try:
            flags = cache_flags(hit.info)
        except ValueError as error:
            self._miss(name, reason, problem=f"is found through ld.so.conf alone, and {error}")
            return
        path = to_image(sysroot_path(hit.asked))
        entry = CacheEntry(name, path, flags, hit.level)
        self._cache.setdefault((name, flags, hit.level), entry)

    def _miss(
        self, name: str, reason: Reason, searched: tuple[str, ...] = (), problem: str = ""
    ) -> None:
        chain = (reason, *self._entries.chain(reason.by))
        self._missing.setdefault((name, reason), Missing(name, chain, searched, problem))
