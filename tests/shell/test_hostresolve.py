"""Where a path leads on a root of random links: the shell's word against the kernel's own."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.shells import SHELLS, Machine

OPENAT2 = 437  # on every architecture
RESOLVE_IN_ROOT = 0x10  # openat2(2)
O_PATH = 0o10000000

names = st.sampled_from(["a", "b", "c", "d e", "-f"])
parts = st.lists(st.one_of(names, st.sampled_from([".", ".."])), min_size=1, max_size=5)
targets = st.builds(lambda top, words: top + "/".join(words), st.sampled_from(["", "/"]), parts)
places = st.lists(names, min_size=1, max_size=3).map("/".join)
entries = st.lists(st.tuples(places, st.one_of(st.none(), st.just(""), targets)), max_size=14)
wishes = st.lists(parts.map("/".join), min_size=1, max_size=6)


def kernels_word(root: Path, path: str) -> tuple[str, str]:
    """What sr_host_resolve should say of `path`: its class, and where it leads if that is found."""
    folder = os.open(root, os.O_PATH)
    how = struct.pack("QQQ", O_PATH, 0, RESOLVE_IN_ROOT)
    fd = ctypes.CDLL(None, use_errno=True).syscall(
        OPENAT2, folder, path.encode(), how, len(how)
    )  # fmt: skip
    os.close(folder)
    if fd < 0:
        code = ctypes.get_errno()
        return {errno.ENOENT: "gone", errno.ENOTDIR: "gone", errno.ELOOP: "loop"}[code], ""
    leads = os.readlink(f"/proc/self/fd/{fd}").removeprefix(str(root))
    os.close(fd)
    return ("found", leads) if leads else ("odd", "")


def build(root: Path, tree: list[tuple[str, str | None]]) -> None:
    """Make what can be made of `tree`: None is a directory, an empty text a file, else a link."""
    for place, what in tree:
        path = root / place
        if any(above.is_symlink() for above in path.parents):
            continue
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if what is None:
                path.mkdir()
            elif what:
                path.symlink_to(what)
            else:
                path.touch(exist_ok=False)
        except (OSError, RuntimeError):
            continue  # a random tree has collisions


ASK = """
. "$SR_LIB/hostresolve.sh"
for path; do
    sr_host_resolve "/$path"
    printf '%s|%s\\n' "$host_class" "$host_path"
done
"""


@pytest.fixture(scope="module", params=SHELLS)
def one_machine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Machine:
    return Machine(tmp_path_factory.mktemp("machine"), SHELLS[request.param])


@settings(deadline=None, max_examples=120)
@given(tree=entries, paths=wishes)
def test_the_kernel_says_the_same(
    one_machine: Machine, tree: list[tuple[str, str | None]], paths: list[str]
) -> None:
    shutil.rmtree(one_machine.root / "sysroot")
    (one_machine.root / "sysroot").mkdir()
    root = (one_machine.root / "sysroot").resolve()
    # Links come last, so that nothing is made through one.
    build(root, [(place, what) for place, what in tree if not what])
    build(root, [(place, what) for place, what in tree if what])
    found = one_machine.lib(ASK, *paths)
    assert found.returncode == 0, found.stderr
    for path, line in zip(paths, found.stdout.splitlines(), strict=True):
        said, _, leads = line.partition("|")
        said = {"missing": "gone", "absent": "gone"}.get(said, said)
        word, where = kernels_word(root, path)
        assert said == word
        if said == "found":
            assert leads == where


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ("/proc/self/mounts", "virtual|/proc"),
        ("../../../../run/x", "virtual|/run"),
        ("/etc/../dev/./null", "virtual|/dev"),
        ("/.srbuild/local/etc/x", "own|/etc/x"),
        ("../.srbuild/./local//etc/x", "own|/etc/x"),
        ("/.srbuild/local/../nodes/other", "odd|/.srbuild/local"),
        ("/.srbuild/local", "own|"),
        ("/.cdsl.local/etc/x", "own|"),
        ("/etc/y", "missing|/etc/y"),
        ("/etc/y/z", "absent|/etc/y"),
        ("/etc/file/z", "absent|/etc/file"),
        ("link", "loop|/etc/link"),
        ("/", "odd|"),
        ("name\n", "odd|"),
        ("\x1b[2J", "odd|"),
        ("/runner", "found|/runner"),
        ("/etc/file", "found|/etc/file"),
    ],
)
def test_what_a_link_leads_to(machine: Machine, link: str, said: str) -> None:
    machine.write("sysroot/etc/file", "")
    machine.write("sysroot/runner", "")
    (machine.root / "sysroot/.srbuild").mkdir()
    (machine.root / "sysroot/etc/link").symlink_to(link)
    found = machine.lib(ASK, "etc/link")
    assert found.stdout.startswith(f"{said}\n" if "odd" not in said else "odd|"), found.stdout


@pytest.mark.parametrize(("links", "said"), [(40, "found|/end"), (41, "loop|")])
def test_as_many_links_as_the_kernel_follows(machine: Machine, links: int, said: str) -> None:
    root = machine.root / "sysroot"
    (root / "end").mkdir()
    for number in range(links):
        (root / f"l{number}").symlink_to(f"l{number + 1}" if number < links - 1 else "end")
    found = machine.lib(ASK, "l0")
    assert found.stdout.startswith(said)
    assert kernels_word(root, "l0")[0] == said.partition("|")[0]
