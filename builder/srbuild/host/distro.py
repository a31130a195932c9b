"""Making a sysroot from a distribution's packages, without root.

mmdebstrap in chrootless mode with the `extract` variant downloads the packages with apt's
own signature checks and unpacks them; no maintainer script runs, so nothing of the sysroot
is executed and any architecture can be made on any machine. What such a tree lacks and an
image needs is either added here (modules.dep, dpkg's database) or made by the builder.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict

from srbuild.errors import (
    ConflictError,
    MissingInputError,
    SrbuildError,
    ToolError,
    UsageError,
)
from srbuild.formats.deb import Deb, DebError, read_deb
from srbuild.frozen import frozen
from srbuild.host.packages import write_packages
from srbuild.host.tool import find_tool, run
from srbuild.paths import MERGED_DIRS, HostPath

STAMP = "var/lib/srbuild/sysroot.json"  # written last, inside the tree
STAMP_FORMAT = 1
DEBS = "var/cache/apt/archives"
MAKE_TIMEOUT = 1800.0  # seconds for downloads of some 200 MB and unpacking them
DEPMOD_TIMEOUT = 300.0

# What every image is made of, whatever its modules are; the kernel comes with it.
BASE_PACKAGES = ("busybox-static", "kmod")
DEFAULT_SUITE = "bookworm"
# A suite without point releases, whose Release file on a mirror or snapshot is often older
# than the week it allows itself. Its signature is checked all the same.
ROLLING_SUITES = ("sid", "unstable")

# Debian's architecture → uname's machine, and the package of its kernel.
MACHINES = {
    "amd64": "x86_64",
    "arm64": "aarch64",
    "armhf": "armv7l",
    "i386": "i686",
    "loong64": "loongarch64",
    "ppc64el": "ppc64le",
    "riscv64": "riscv64",
    "s390x": "s390x",
}
KERNEL_PACKAGES = {
    "armhf": "linux-image-armmp",
    "i386": "linux-image-686-pae",
    "ppc64el": "linux-image-powerpc64le",
}
PACKAGE_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")  # Debian policy 5.6.7
UNKNOWN_PACKAGE = re.compile(r"Unable to locate package (\S+)")  # apt's words
MIRROR = re.compile(r"[a-z]+://[!-~]+")
SUITE_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")


@frozen
class SysrootRequest:
    """What a sysroot is to be made of.

    `packages` are Debian's names, beside the kernel and BASE_PACKAGES; an empty `mirror`
    stands for the suite's own.
    """

    packages: tuple[str, ...]
    suite: str
    architecture: str
    mirror: str = ""

    @property
    def all_packages(self) -> tuple[str, ...]:
        """Every package to ask apt for, sorted."""
        kernel = KERNEL_PACKAGES.get(self.architecture, f"linux-image-{self.architecture}")
        return tuple(sorted({kernel, *BASE_PACKAGES, *self.packages}))


@frozen
class MadeSysroot:
    """A sysroot that is ready: where it is, its kernels, whether it was there already."""

    directory: HostPath
    kernels: tuple[str, ...]
    cached: bool


@frozen
class Stamp:
    """What a finished sysroot says of itself: the request that made it and its kernels."""

    suite: str
    architecture: str
    mirror: str
    packages: tuple[str, ...]
    kernels: tuple[str, ...]


def host_architecture() -> str:
    """Debian's name for the architecture of the machine srbuild runs on.

    Raises UsageError for one that Debian doesn't have.
    """
    machine = platform.machine()
    for architecture, name in MACHINES.items():
        if name == machine:
            return architecture
    raise UsageError(f"Debian has no architecture for {machine}", hint="give one with --arch")


def create_sysroot(directory: HostPath, request: SysrootRequest) -> MadeSysroot:
    """Make `directory` a sysroot that has all that `request` asks for.

    One that is there and has it all (the same suite, architecture and mirror, and at least
    these packages) is left as it is; another that srbuild made is replaced as a whole.
    Raises ConflictError for a directory with something else in it or one being made by
    another process, UsageError for a name that can be no package or suite, ToolError when
    a program is missing or fails. After any error `directory` is what it was.
    """
    _check_names(request)
    target = HostPath(os.path.abspath(directory))
    if target.is_symlink():
        target = target.resolve()
    if known := _usable(target, request):
        return MadeSysroot(directory, known.kernels, cached=True)
    _check_replaceable(target)
    find_tool("mmdebstrap")
    find_tool("depmod")
    with _workspace(target) as space:
        tree = space / "tree"
        _unpack(tree, request)
        write_packages(tree, _take_debs(tree))
        _link_merged_dirs(tree)
        kernels = _index_kmods(tree)
        _write_stamp(tree, request, kernels)
        _replace(target, tree, space / "old")
    return MadeSysroot(directory, kernels, cached=False)


def read_stamp(directory: HostPath) -> Stamp | None:
    """What the sysroot at `directory` was made of; None when srbuild didn't make it."""
    try:
        text = (directory / STAMP).read_text(encoding="utf-8")
        facts = json.loads(text)
        if facts["format"] != STAMP_FORMAT:
            return None
        words = (facts["suite"], facts["architecture"], facts["mirror"])
        lists = (facts["packages"], facts["kernels"])
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (LookupError, RecursionError, TypeError, ValueError):
        return None
    if not all(isinstance(one, list) for one in lists):
        return None
    if not all(isinstance(word, str) for word in (*words, *lists[0], *lists[1])):
        return None
    return Stamp(*words, tuple(lists[0]), tuple(lists[1]))


def _check_names(request: SysrootRequest) -> None:
    for name in request.packages:
        if not PACKAGE_NAME.fullmatch(name):
            raise UsageError(f"{name!r} is no name of a Debian package")
    if not SUITE_NAME.fullmatch(request.suite):
        raise UsageError(f"{request.suite!r} is no name of a suite", hint="bookworm, trixie, …")
    if request.architecture not in MACHINES:
        known = ", ".join(sorted(MACHINES))
        raise UsageError(f"unknown architecture {request.architecture!r}", hint=f"one of {known}")
    if request.mirror and not MIRROR.fullmatch(request.mirror):
        raise UsageError(f"{request.mirror!r} is no mirror's address", hint="http://host/debian")


def _usable(target: HostPath, request: SysrootRequest) -> Stamp | None:
    stamp = read_stamp(target)
    if stamp is None:
        return None
    asked = (request.suite, request.architecture, request.mirror)
    same = (stamp.suite, stamp.architecture, stamp.mirror) == asked
    return stamp if same and set(request.all_packages) <= set(stamp.packages) else None


def _check_replaceable(target: HostPath) -> None:
    if not target.exists() or read_stamp(target):
        return
    if not target.is_dir() or any(target.iterdir()):
        raise ConflictError(
            f"{target} is there and was not made by srbuild: it is left alone",
            hint="name another directory, or remove this one",
        )


@contextmanager
def _workspace(target: HostPath) -> Iterator[HostPath]:
    """A locked directory beside `target`, empty at first and gone afterwards.

    Its name is always the same, so that what a killed run left is found and cleared.
    """
    space = target.with_name(f".{target.name}.new")
    try:
        space.mkdir(parents=True, exist_ok=True)
        lock = os.open(space, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise SrbuildError(f"cannot make {space}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConflictError(f"another srbuild is making {target} right now") from None
        try:
            _remove_inside(space)
            yield space
        finally:
            _remove_inside(space)
            space.rmdir()
    finally:
        os.close(lock)


def _remove_inside(directory: HostPath) -> None:
    """Empty `directory`, also of what its packages made read-only."""
    for base, names, _ in os.walk(directory):
        for name in names:
            path = HostPath(base, name)
            if not path.is_symlink() and path.stat().st_mode & 0o700 != 0o700:
                path.chmod(0o700)
    for path in directory.iterdir():
        shutil.rmtree(path)


def _unpack(tree: HostPath, request: SysrootRequest) -> None:
    rolling = request.suite in ROLLING_SUITES
    argv = [
        "mmdebstrap",
        "--mode=chrootless",
        "--variant=extract",
        "--skip=cleanup/apt/cache",
        f"--architectures={request.architecture}",
        f"--include={','.join(request.all_packages)}",
        *(['--aptopt=Acquire::Check-Valid-Until "false"'] if rolling else []),
        request.suite,
        str(tree),
        *([request.mirror] if request.mirror else []),
    ]
    try:
        run(argv, timeout=MAKE_TIMEOUT, env={"LC_ALL": "C.UTF-8"})
    except ToolError as error:
        if missing := sorted(set(UNKNOWN_PACKAGE.findall(error.message))):
            raise MissingInputError(
                f"{request.suite} has no package {', '.join(missing)} for {request.architecture}",
                hint="choose another --suite, or other modules or packages",
            ) from error
        raise


def _take_debs(tree: HostPath) -> list[Deb]:
    """Read the packages that were unpacked into `tree`, and remove them from it."""
    archives = tree / DEBS
    debs = sorted(archives.glob("*.deb"), key=lambda deb: deb.stat().st_size, reverse=True)
    if not debs:
        raise ToolError(f"mmdebstrap left no packages in {archives}")
    try:
        with ThreadPoolExecutor() as pool:
            found = list(pool.map(read_deb, debs))
    except (DebError, OSError) as error:
        raise ToolError(f"cannot read a downloaded package: {error}") from error
    shutil.rmtree(archives.parent)
    return found


def _link_merged_dirs(tree: HostPath) -> None:
    """Make the links of merged-/usr where the packages rely on them: trixie and later.

    There every package ships /usr/lib alone and base-files' scripts keep the link, while
    programs still name their loader /lib64/ld-linux-x86-64.so.2.
    """
    for name in MERGED_DIRS:
        if (tree / "usr" / name).is_dir() and not (tree / name).exists():
            (tree / name).symlink_to(f"usr/{name}")


def _index_kmods(tree: HostPath) -> tuple[str, ...]:
    """Run depmod for every kernel in `tree`, which is what its postinst would have done."""
    # A link from /lib stays inside /usr by Debian's rule; depmod would follow any.
    base = (
        tree
        if (tree / "lib/modules").is_dir() and not (tree / "lib").is_symlink()
        else tree / "usr"
    )
    modules = base / "lib/modules"
    kernels = sorted(path.name for path in modules.iterdir()) if modules.is_dir() else []
    if not kernels:
        raise MissingInputError(f"no kernel's modules came with the packages in {tree}")
    for kernel in kernels:
        run(["depmod", "-b", str(base), kernel], timeout=DEPMOD_TIMEOUT)
    return tuple(kernels)


def _write_stamp(tree: HostPath, request: SysrootRequest, kernels: tuple[str, ...]) -> None:
    stamp = Stamp(
        request.suite, request.architecture, request.mirror, request.all_packages, kernels
    )
    path = tree / STAMP
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"format": STAMP_FORMAT, **asdict(stamp)}, indent=2) + "\n")


def _replace(target: HostPath, tree: HostPath, old: HostPath) -> None:
    """Put `tree` in the place of `target`, whose former content goes to `old`."""
    if not target.exists():
        tree.rename(target)
        return
    target.rename(old)
    try:
        tree.rename(target)
    except OSError:
        old.rename(target)
        raise
