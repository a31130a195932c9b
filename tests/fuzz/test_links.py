"""Random farms of links: a path leads where the kernel says, and never out of the tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from srbuild.host.sysroot import Sysroot
from srbuild.paths import SysrootPath

WORDS = ["a", "b", "c", "d"]
parts = st.lists(st.sampled_from([*WORDS, "..", "."]), min_size=1, max_size=5)
targets = st.builds(lambda absolute, words: "/" * absolute + "/".join(words), st.booleans(), parts)
places = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map("/".join)
farms = st.dictionaries(places, st.none() | st.just("") | targets, max_size=12)
# The kernel's own words: what it opened, named from the root that it walked from.
RESOLVER = """
import os, sys
names = os.open("/proc/self/fd", os.O_PATH)
os.chroot(sys.argv[1])
os.chdir("/")
for path in sys.stdin.read().split():
    try:
        fd = os.open(path, os.O_PATH)
    except OSError:
        print("-")
    else:
        print(os.readlink(str(fd), dir_fd=names))
        os.close(fd)
"""


def grow(root: Path, farm: dict[str, str | None]) -> None:
    """Make links, directories (None) and files (""), as far as they don't stand in each other."""
    for place, what in farm.items():
        path = root / place
        if any(above.is_symlink() or above.is_file() for above in [*path.parents, path]):
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if what is None:
            path.mkdir(exist_ok=True)
        elif not path.exists():
            path.symlink_to(what) if what else path.touch()


@pytest.fixture
def opened() -> list[str]:
    """The paths that Python opens, lists or follows while the test runs."""
    found: list[str] = []
    events = {"open", "os.scandir", "os.listdir", "os.readlink", "os.listxattr"}

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if event in events and isinstance(arguments[0], str):
            found.append(arguments[0])

    sys.addaudithook(watch)  # for good: an audit hook can't be removed
    return found


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(farm=farms, asked=st.lists(targets, min_size=1, max_size=20))
def test_paths_lead_where_a_process_in_the_tree_would_be_led(
    tmp_path: Path, opened: list[str], farm: dict[str, str | None], asked: list[str]
) -> None:
    root = tmp_path / "farm"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    grow(root, farm)
    paths = ["/" + path.lstrip("/") for path in asked]
    # The right to chroot must outlive the start of Python: the user has to be mapped.
    outside = [] if os.geteuid() == 0 else ["unshare", "--map-root-user"]
    done = subprocess.run(
        [*outside, sys.executable, "-I", "-c", RESOLVER, str(root)],
        input="\n".join(paths),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    opened.clear()
    tree = Sysroot(root)
    ours = []
    for path in paths:
        found = tree.find(SysrootPath(path))
        ours.append(found.path if found else "-")
        tree.glob(path.replace("a", "*") + "/**")
        if tree.is_file(SysrootPath(path)):
            tree.read(SysrootPath(path))
    outside = [path for path in opened if not path.startswith(str(root))]
    assert outside == []
    assert ours == done.stdout.split()
