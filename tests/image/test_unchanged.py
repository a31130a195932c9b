"""Builds that find a witness: never is a stale image called current.

The oracle is a build that knows nothing of earlier ones, of the same inputs.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from support.jobs import Job, replace, rewrite
from support.kernels import VERSION, FakeKmod, make_kernel

# --- what changes -----------------------------------------------------------------------------


def edit(path: str, old: str, new: str) -> Callable[[], None]:
    def change() -> None:
        text = Path(path).read_text()
        assert old in text
        Path(path).write_text(text.replace(old, new))

    return change


def put(path: str, data: bytes | str = b"x") -> Callable[[], None]:
    def change() -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(data.encode() if isinstance(data, str) else data)
        Path(path).chmod(0o755)

    return change


def one(pattern: str) -> Path:
    """A file that `pattern` stands for, which is no link."""
    return next(path for path in sorted(Path().glob(pattern)) if not path.is_symlink())


def put_library(where: str) -> Callable[[], None]:
    """Another build of a library into a directory that is searched earlier."""

    def change() -> None:
        found = one("root/**/libmine.so.1")
        put(f"{where}/{found.name}", found.read_bytes() + b"later")()

    return change


def put_program(where: str) -> Callable[[], None]:
    def change() -> None:
        found = Path("root/usr/sbin/iscsid")
        put(f"{where}/iscsid", found.read_bytes() + b"later")()

    return change


def swap_root() -> None:
    """Another tree where the first one was."""
    shutil.copytree("root", "other", symlinks=True)
    rewrite(Path("other/usr/sbin/corosync"))
    Path("root").rename("before")
    Path("other").rename("root")


def retarget() -> None:
    """The sysroot's `/usr/sbin/iscsid` becomes a link to another program."""
    put("root/usr/sbin/other", Path("root/usr/sbin/iscsid").read_bytes() + b"x")()
    Path("root/usr/sbin/iscsid").unlink()
    Path("root/usr/sbin/iscsid").symlink_to("other")


def add_kernel() -> None:
    """A newer kernel with the same modules."""
    shutil.copytree(one(f"root/**/modules/{VERSION}"), one("root/**/modules") / "99.1-newer")


CHANGES: dict[str, Callable[[], object]] = {
    "a value of the cluster file": edit("cluster.toml", "10.9.0.1:", "10.9.0.9:"),
    "the cluster file, size and mtime kept": lambda: replace(Path("cluster.toml")),
    "the cluster file is gone": lambda: Path("cluster.toml").unlink(),
    "the recipe": edit("recipe.toml", "fs =", 'microcode = "none"\ncompression = "gzip"\nfs ='),
    "a boot module's words": edit("modules/base/mine/module.toml", "mine.conf", "mine.cfg"),
    "a boot module's script": lambda: rewrite(Path("modules/base/mine/mine.sh")),
    "a boot module's script is gone": lambda: Path("modules/base/mine/mine.sh").unlink(),
    "a boot module's template": put("modules/base/mine/mine.j2", "y\n"),
    "one more boot module": put("modules/net/wrong/module.toml", "name = 1\n"),
    "one more kind of boot module": lambda: shutil.copytree("modules/base", "modules/rescue"),
    "a program, size and mtime kept": lambda: rewrite(Path("root/usr/sbin/iscsid")),
    "a program replaced": lambda: replace(Path("root/usr/sbin/iscsid")),
    "a program's mode": lambda: Path("root/usr/sbin/iscsid").chmod(0o700),
    "a program is gone": lambda: Path("root/usr/sbin/iscsid").unlink(),
    "a program becomes a link": retarget,
    "a program where it is looked for earlier": put_program("root/usr/local/sbin"),
    "a program in /bin, later": put_program("root/bin"),
    "a library, size and mtime kept": lambda: rewrite(one("root/**/libmine.so.1")),
    "a library that ld.so.conf puts first": lambda: (
        put("root/etc/ld.so.conf", "/opt/lib\n")(), put_library("root/opt/lib")(),
    ),
    "a folder of ld.so.conf's": put("root/etc/ld.so.conf.d/x.conf", "/opt/lib\n"),
    "a library for better processors": put_library("root/lib/glibc-hwcaps/x86-64-v2"),
    "one more match of a pattern": put("root/etc/mine.d/two"),
    "one match less": lambda: Path("root/etc/mine.d/one").rename("root/etc/elsewhere"),
    "a kernel module": lambda: rewrite(one("root/**/gfs2.ko")),
    "a kernel module is gone": lambda: one("root/**/iscsi_tcp.ko").unlink(),
    "the kernel modules' dependencies": lambda: rewrite(one("root/**/modules.dep")),
    "other kernel modules": lambda: make_kernel(
        Path("root"), [FakeKmod("kernel/drivers/gfs2.ko", [("license", "GPL")])]
    ),
    "a newer kernel": add_kernel,
    "another root tree": swap_root,
    "no root tree": lambda: Path("root").rename("before"),
    "a package's version": put("root/var/lib/dpkg/status", "Package: x\nVersion: 2\n\n"),
    "the image was cut": lambda: os.truncate("image", 100),
    "the image was written to": lambda: rewrite(Path("image")),
    "the image is gone": lambda: Path("image").unlink(),
    "the sidecar is gone": lambda: Path("image.json").unlink(),
    "the sidecar was written to": put("image.json", "{}"),
    "image and sidecar are gone": lambda: (Path("image").unlink(), Path("image.json").unlink()),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_build_notices(job: Job, change: str) -> None:
    CHANGES[change]()
    job.check()


@pytest.mark.parametrize(
    "change", ["a program's mode", "one more match of a pattern", "a package's version"]
)
def test_a_build_whose_image_is_gone_notices_too(job: Job, change: str) -> None:
    CHANGES[change]()
    job.image.unlink()
    job.check()


@pytest.mark.parametrize(
    "variable", [("SOURCE_DATE_EPOCH", "1000000000"), ("SRBUILD_COMPRESSION", "gzip")]
)
def test_variables_are_noticed(
    job: Job, variable: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(*variable)
    job.check()
    job.settle()
    monkeypatch.delenv(variable[0])
    job.check()


@pytest.mark.parametrize("seed", range(12))
def test_whatever_is_changed_is_noticed(job: Job, seed: int) -> None:
    """Several files anywhere, changed in any way."""
    dice = random.Random(seed)
    paths = sorted(
        path for top in ("root", "modules") for path in Path(top).rglob("*") if path.is_file()
    )
    ways: list[Callable[[Path], object]] = [
        rewrite, replace, Path.unlink, lambda path: path.chmod(0o700),
        lambda path: path.rename(path.with_name(path.name + ".old")),
        lambda path: shutil.copy2(path, path.with_name("0" + path.name)),
    ]  # fmt: skip
    for path in dice.sample(paths, 2):
        if path.stat().st_size and path.exists():
            dice.choice(ways)(path)
            job.check()
            if job.build()[0]:
                return  # it can't be built any more
