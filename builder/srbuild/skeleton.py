"""The directories, links and nodes that every image has, whatever the sysroot says of them."""

from __future__ import annotations

from collections.abc import Iterator

from srbuild.errors import Origin
from srbuild.manifest import Content, Dir, Node, Symlink
from srbuild.paths import ImagePath, image_path

SKELETON = Origin("srbuild", "skeleton")
_TOP = ("dev", "etc", "proc", "root", "run", "sys", "sysroot", "tmp", "usr", "var")


def skeleton() -> Iterator[tuple[ImagePath, Content]]:
    """What stands before any module's wish, each at its place."""
    for name in _TOP:
        yield image_path(name), new_dir(f"/{name}")
    for name in ("bin", "lib", "lib64", "sbin"):
        yield image_path(f"/usr/{name}"), Dir()
        yield ImagePath(f"/{name}"), Symlink(f"usr/{name}")
    yield image_path("/var/run"), Symlink("../run")
    yield image_path("/var/lock"), Symlink("../run/lock")
    # The kernel opens /dev/console for PID 1 before anything is mounted (init/main.c).
    yield image_path("/dev/console"), Node("c", 5, 1)
    yield image_path("/dev/null"), Node("c", 1, 3, 0o666)


def new_dir(path: str) -> Dir:
    """A directory of the image's own making."""
    return Dir({"/root": 0o700, "/tmp": 0o1777}.get(path, 0o755))
