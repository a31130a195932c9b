"""Hostile and odd root trees through the real command line: the right image, or a clear error."""

from __future__ import annotations

import base64
import json
import os
import socket
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from srbuild.formats.segments import open_segment, split_image
from support.images import leftovers
from support.kernels import FakeKmod, make_kernel

SRBUILD = Path(sys.executable).with_name("srbuild")
KEPT = b"previous image"
MODULE = """
name = "odd"
kind = "rescue"
summary = "Whatever lies in /odd"
[install]
files = ["/odd/**/*"]
"""


class Tree:
    """A root tree with little more than /odd, and builds of all that lies in there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "root"
        self.odd = self.root / "odd"
        self.odd.mkdir(parents=True)
        self.output = folder / "out/image"
        self.output.parent.mkdir()
        self.output.write_bytes(KEPT)
        make_kernel(self.root, [FakeKmod("kernel/virtio_pci.ko")])
        for name in ("busybox", "timeout"):
            self.file(f"usr/bin/{name}", b"not run", 0o755)
        module = folder / "modules/rescue/odd/module.toml"
        module.parent.mkdir(parents=True)
        module.write_text(MODULE)

    def file(self, path: str | bytes, data: bytes = b"x", mode: int = 0o644) -> Path:
        target = self.root / os.fsdecode(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        target.chmod(mode)
        return target

    def command(self, *options: str) -> list[str]:
        return [str(SRBUILD), "build", "--sysroot", str(self.root), "--module", "odd",
                "--module-path", str(self.folder / "modules"), "-o", str(self.output),
                "--cache", str(self.folder / "cache"), *options]  # fmt: skip

    def build(self, *prefix: str, options: tuple[str, ...] = ()) -> str:
        """Build; what was said. The image is verified then, by its sidecar."""
        said = call(0, *prefix, *self.command(*options))
        call(0, str(SRBUILD), "verify", str(self.output))
        return said

    def refused(self, status: int, *prefix: str) -> str:
        """Build, which must fail with `status` and leave the previous image; what was said."""
        said = call(status, *prefix, *self.command())
        self.check_kept()
        return said

    def check_kept(self) -> None:
        assert self.output.read_bytes() == KEPT
        assert [path.name for path in self.output.parent.iterdir()] == ["image"]

    def listed(self) -> dict[str, dict[str, object]]:
        text = call(0, str(SRBUILD), "list", "--json", str(self.output))
        return {row["path"]: row for row in json.loads(text)["entries"]}

    def notes(self) -> str:
        found = json.loads(self.output.with_name("image.json").read_text())["notes"]
        return "\n".join(found)

    def extracted(self) -> Path:
        """/odd of the image, as GNU cpio unpacks it."""
        target = self.folder / "extracted"
        target.mkdir()
        with self.output.open("rb") as file:
            for segment in split_image(file):
                data = open_segment(file, segment).read()
                command = ["cpio", "-id", "--quiet", "--no-absolute-filenames"]
                done = subprocess.run(command, input=data, cwd=target, check=False, timeout=60)
                assert done.returncode in (0, 2)  # 2: nodes that only root may make
        return target / "odd"


def call(status: int, *command: str) -> str:
    """Run a command that must end with `status`; what it printed. No traceback, no raw escape."""
    done = subprocess.run(command, capture_output=True, check=False, timeout=120)
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == status, said
    assert "Traceback" not in said
    assert "\x1b" not in said
    return said


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


NAMES = [b"a b", b"new\nline", b"\xff\xfe", b"-rf", b"\x1b[31mred", "naïve".encode(), b"x\ty\\z",
         b"a" * 255, b"$(reboot)", "\u202egnp".encode(), b"'\""]  # fmt: skip


def test_every_name_is_kept_and_none_reaches_the_terminal_raw(tree: Tree) -> None:
    for name in NAMES:
        tree.file(b"odd/" + name, name)
    tree.build()
    found = {os.fsdecode(b"/odd/" + name) for name in NAMES}
    assert found <= set(tree.listed())
    assert sorted(os.listdir(os.fsencode(tree.extracted()))) == sorted(NAMES)
    shown = call(0, str(SRBUILD), "list", str(tree.output)).split("\n")
    for text in ("/odd/a b", "/odd/new\\nline", "/odd/\\xff\\xfe", "/odd/\\x1b[31mred",
                 "/odd/x\\ty\\\\z", "/odd/\\u202egnp"):  # fmt: skip
        assert text in shown
    long = call(0, str(SRBUILD), "list", "--long", str(tree.output))
    assert "-rw-r--r--         8 /odd/new\\nline" in long


def test_a_name_in_an_error_is_escaped(tree: Tree) -> None:
    os.mkfifo(tree.odd / "\x1b[2Jpipe\r")
    assert r"/odd/\x1b[2Jpipe\r" in tree.refused(4)


def test_hard_links_are_files_of_their_own_and_told(tree: Tree) -> None:
    tree.file("odd/a", b"d" * 1000)
    (tree.odd / "b").hardlink_to(tree.odd / "a")
    tree.file("outside")
    (tree.odd / "c").hardlink_to(tree.root / "outside")
    tree.build()
    assert [tree.listed()[f"/odd/{name}"]["type"] for name in "abc"] == ["file"] * 3
    assert "1000 bytes more before compression: /odd/a = /odd/b" in tree.notes()
    assert "/odd/c" not in tree.notes()
    assert (tree.extracted() / "b").read_bytes() == b"d" * 1000


def test_setuid_stays(tree: Tree) -> None:
    tree.file("odd/su", mode=0o6755)
    tree.build()
    assert tree.listed()["/odd/su"]["mode"] == "6755"


CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0)  # cap_net_raw+ep


@pytest.mark.parametrize(
    ("name", "value"), [("user.origin", b"x"), ("security.capability", CAPABILITY)]
)
def test_attributes_are_told_with_the_files(tree: Tree, name: str, value: bytes) -> None:
    for path in ("odd/ping", "odd/pong"):
        try:
            os.setxattr(tree.file(path, mode=0o755), name, value)
        except OSError as error:
            pytest.skip(f"no {name} here: {error.strerror}")
    tree.file("odd/plain")
    said = tree.build()
    wanted = f"no extended attributes: {name} is lost of /odd/ping, /odd/pong"
    assert wanted in said
    assert wanted in tree.notes()


def drop_override() -> list[str]:
    """What takes root's right to read everything away."""
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if not os.getuid() else []


def test_an_unreadable_file_is_named(tree: Tree) -> None:
    tree.file("odd/secret", mode=0)
    said = tree.refused(4, *drop_override())
    assert "/odd/secret" in said
    assert "Permission denied" in said


def test_an_unreadable_directory_is_not_taken_for_an_empty_one(tree: Tree) -> None:
    tree.file("odd/shut/file")
    (tree.odd / "shut").chmod(0)
    try:
        said = tree.refused(4, *drop_override())
    finally:
        (tree.odd / "shut").chmod(0o755)
    assert "cannot read /odd/shut" in said
    assert "Permission denied" in said


def test_what_is_no_file_is_named_and_neither_opened_nor_waited_for(tree: Tree) -> None:
    os.mkfifo(tree.odd / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tree.odd / "socket"))
    names = ["fifo", "socket"]
    if os.getuid() == 0:
        os.mknod(tree.odd / "null", 0o020666, os.makedev(1, 3))
        names.append("null")
    said = tree.refused(4)
    for name in names:
        assert f"/odd/{name}, which is no regular file" in said


@pytest.mark.parametrize(
    "path",
    ["etc/ld.so.conf", "var/lib/dpkg/status", "lib/modules/6.1.0-9-test/modules.softdep",
     "lib/modules/6.1.0-9-test/kernel/virtio_pci.ko", "usr/bin/busybox"],
)  # fmt: skip
def test_a_fifo_in_the_place_of_a_file_holds_nothing_up(tree: Tree, path: str) -> None:
    tree.file("odd/missing")
    (tree.root / path).parent.mkdir(parents=True, exist_ok=True)
    (tree.root / path).unlink(missing_ok=True)
    os.mkfifo(tree.root / path)
    done = subprocess.run(tree.command(), capture_output=True, check=False, timeout=60)
    assert done.returncode in (0, 4)
    assert b"Traceback" not in done.stderr


def test_directories_that_link_to_themselves_are_walked_once(tree: Tree) -> None:
    tree.file("odd/a/file")
    (tree.odd / "a/up").symlink_to("..")
    (tree.odd / "a/self").symlink_to("self")
    (tree.odd / "root").symlink_to("/")
    said = tree.refused(4)
    for name in ("a/self", "a/up", "root"):
        assert f"/odd/{name}" in said
        (tree.odd / name).unlink()
    tree.build()
    found = tree.listed()
    assert [path for path in found if path.startswith("/odd/")] == ["/odd/a", "/odd/a/file"]


def test_directories_of_any_depth(tree: Tree) -> None:
    deep = "d/" * 600
    subprocess.run(["mkdir", "-p", tree.odd / deep], check=True, timeout=60)
    try:
        (tree.odd / deep / "file").touch()
        tree.build()
        assert f"/odd/{deep}file" in tree.listed()
    finally:  # shutil.rmtree, which pytest uses, can't
        subprocess.run(["rm", "-rf", tree.odd], check=True, timeout=60)


def test_a_link_never_leaves_the_tree(tree: Tree) -> None:
    (tree.folder / "canary").write_bytes(b"outside")
    tree.file("inside", b"inside")
    canary = str(tree.folder / "canary")
    (tree.odd / "up").symlink_to("../../../../../../inside")
    (tree.odd / "absolute").symlink_to("/inside")
    tree.build()
    assert tree.listed()["/inside"]["size"] == len(b"inside")
    (tree.odd / "evil").symlink_to("../" * 40 + canary.lstrip("/"))
    tree.output.with_name("image.json").unlink()
    tree.output.write_bytes(KEPT)
    assert "/odd/evil" in tree.refused(4)


def test_a_file_of_4_gib_is_refused_unread(tree: Tree) -> None:
    for name, size in (("disk", 1 << 32), ("disk2", 1 << 43)):
        os.truncate(tree.file(f"odd/{name}"), size)
    code = (
        "import sys\nfrom srbuild.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "finally:\n    print(open('/proc/self/io').read().split()[1], file=sys.stderr)\n"
    )
    said = call(5, sys.executable, "-c", code, *tree.command()[1:])
    tree.check_kept()
    assert f"{tree.odd}/disk has {1 << 32} bytes" in said
    assert "/odd/disk2 cannot be in the image" in said
    assert int(said.split()[-1]) < 100 << 20  # bytes read, Python's own modules among them


def test_builds_of_two_trees_at_once_leave_one_of_both_whole(tmp_path: Path) -> None:
    (tmp_path / "2").mkdir()
    one, other = Tree(tmp_path), Tree(tmp_path / "2")
    other.output, other.folder = one.output, one.folder  # its cache and modules, too
    one.file("odd/one", os.urandom(300_000))
    other.file("odd/other", os.urandom(400_000))
    with ThreadPoolExecutor(4) as pool:
        said = list(pool.map(lambda tree: call(0, *tree.command()), [one, other] * 5))
    assert len(said) == 10
    call(0, str(SRBUILD), "verify", str(one.output))
    assert len({"/odd/one", "/odd/other"} & set(one.listed())) == 1
    assert sorted(path.name for path in one.output.parent.iterdir()) == ["image", "image.json"]
    assert leftovers(one.folder / "cache/segments") == []


def test_a_disk_that_is_full_before_the_sidecar_leaves_both_as_they_were(tree: Tree) -> None:
    disk = tree.folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "none", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True, timeout=60).returncode:
        pytest.skip("only root can mount a small disk")
    try:
        for index in range(800):  # empty files: a small image with a large sidecar
            tree.file(f"odd/{index:03}" + "n" * 200, b"")
        tree.output = disk / "image"
        tree.output.write_bytes(KEPT)
        said = tree.refused(1)
        assert "No space left on device" in said
        assert "image.json" in said
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True, timeout=60)


def test_a_damaged_cache_is_found_by_digest_and_told(tree: Tree) -> None:
    tree.file("odd/file", base64.b64encode(os.urandom(60_000)))
    tree.build()
    first = tree.output.read_bytes()
    for path in (tree.folder / "cache/segments").iterdir():
        data = bytearray(path.read_bytes())
        data[-20] ^= 1
        path.write_bytes(data)
    tree.output.unlink()
    assert "damaged in the cache, made anew" in tree.build()
    assert tree.output.read_bytes() == first
    tree.output.unlink()
    assert "made anew" not in tree.build()
