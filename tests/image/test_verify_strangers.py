"""Images that nobody left a sidecar of, through `srbuild verify`: right, or one clear error."""

from __future__ import annotations

import gzip
import json
import lzma
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from srbuild.formats.cpio import Header, pack_header, padding
from srbuild.manifest import Inline
from support.images import entry, sample, write

SRBUILD = Path(sys.executable).with_name("srbuild")
FILE = 0o100644


def gzipped(data: bytes) -> bytes:
    """The same at any time."""
    return gzip.compress(data, mtime=0)


PACKED = [gzipped, lzma.compress, zstandard.compress]


def archive(*names: str, uid: int = 0, gid: int = 0, data: bytes = b"x") -> bytes:
    """A whole archive of small files."""
    out = b""
    for number, name in enumerate(names, 1):
        head = Header(name.encode(), FILE, len(data), ino=number, uid=uid, gid=gid)
        out += pack_header(head) + data + padding(len(data))
    return out + pack_header(Header(b"TRAILER!!!", 0))


def verify(image: Path, data: bytes) -> tuple[int, list[str]]:
    """Status and what is said of the image, a sentence a line; `list` must agree."""
    image.write_bytes(data)
    done = [
        subprocess.run(
            [str(SRBUILD), verb, str(image)],
            capture_output=True, check=False, timeout=60, text=True,
        )
        for verb in ("verify", "list")
    ]  # fmt: skip
    assert done[0].returncode == done[1].returncode, done
    assert not any("Traceback" in one.stderr for one in done), done
    return done[0].returncode, [
        line.strip()
        for line in done[0].stderr.splitlines()
        if line.startswith("  ") and not line.startswith("  hint: ")
    ]


@pytest.mark.parametrize("pack", PACKED)
@pytest.mark.parametrize(
    "more", [archive("hidden"), archive("a"), b"junk"], ids=["hidden", "same", "junk"]
)
def test_what_hides_behind_a_trailer_is_told(
    pack: Callable[[bytes], bytes], more: bytes, tmp_path: Path
) -> None:
    """The kernel unpacks a second archive there, and gives up at anything else."""
    status, said = verify(tmp_path / "image", pack(archive("a") + more))
    assert (status, said) == (7, ["segment at offset 0: something behind its TRAILER!!!"])


@pytest.mark.parametrize("pack", PACKED)
def test_padding_behind_a_trailer_is_nothing(
    pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    assert verify(tmp_path / "image", pack(archive("a") + bytes(8192))) == (0, [])


def test_padding_without_end_is_not_read(tmp_path: Path) -> None:
    data = gzipped(archive("a") + bytes(17 << 20))
    status, said = verify(tmp_path / "image", data)
    assert (status, len(said)) == (7, 1)
    assert "bytes of zeros behind its TRAILER!!!" in said[0]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (b"", []),
        (archive("b"), []),
        (archive("a"), []),  # the same once more
        (bytes(512) + archive("b"), []),
        (gzipped(archive("b")), []),
        (bytes(3) + gzipped(archive("b")), []),
        (bytes(3) + archive("b"), ["raw archive at offset 243, not a multiple of 4"]),
        (b"junk", ["junk at offset 240"]),
        (bytes(8) + b"junk", ["junk at offset 248"]),
        (archive("b")[:113],
         ["damaged none segment at offset 240: padding cut short at offset 113"]),
        (gzipped(archive("b"))[:-9], ["damaged gzip segment at offset 240: cut short"]),
        (archive("a", data=b"y"), ["/a: different in two segments, file and file"]),
    ],
    ids=["none", "other", "same", "apart", "gzip", "gzip-apart", "unaligned", "junk", "junk-apart",
         "cut", "gzip-cut", "differs"],
)  # fmt: skip
def test_tails(more: bytes, said: list[str], tmp_path: Path) -> None:
    first = archive("a")
    assert len(first) == 240
    assert verify(tmp_path / "image", first + more) == (7 if said else 0, said)


@pytest.mark.parametrize("pack", [bytes, *PACKED])
@pytest.mark.parametrize(("uid", "gid"), [(1000, 1000), (0, 5), (65534, 0)])
def test_others_owners_are_told(
    pack: Callable[[bytes], bytes], uid: int, gid: int, tmp_path: Path
) -> None:
    status, said = verify(tmp_path / "image", pack(archive("a", uid=uid, gid=gid)))
    assert (status, said) == (7, [f"segment at offset 0: a belongs to {uid}:{gid}, not to root"])


def test_many_owners_are_one_sentence_of_each_segment(tmp_path: Path) -> None:
    names = [f"f{number}" for number in range(200)]
    data = archive("mine") + archive(*names, uid=7)
    status, said = verify(tmp_path / "image", data)
    assert status == 7
    first = f"segment at offset {len(archive('mine'))}: f0 belongs to 7:0, not to root"
    assert said == [f"{first}, and 199 more to others"]


def test_what_a_user_packs_with_cpio(tmp_path: Path) -> None:
    """GNU cpio keeps owners unless it is told otherwise."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/tool").write_text("x")
    for owner, status in (("0:0", 0), ("12:34", 7)):
        command = ["cpio", "--quiet", "-o", "-H", "newc", "-R", owner]
        made = subprocess.run(
            command, input=b"tool\n", cwd=tmp_path / "tree", capture_output=True, check=True
        )
        assert verify(tmp_path / "image", gzipped(made.stdout))[0] == status


def test_the_sidecar_gone_what_srbuild_wrote_is_sound_and_its_doubled_tail_too(
    tmp_path: Path,
) -> None:
    write(tmp_path / "image", sample(tmp_path))
    whole = (tmp_path / "image").read_bytes()
    write(tmp_path / "site", {"/site": entry(Inline(b"s" * 99), "site")})
    tail = (tmp_path / "site").read_bytes()
    for data in (whole, whole + tail, whole + tail + tail):
        assert verify(tmp_path / "copy", data) == (0, [])
    status, said = verify(tmp_path / "copy", whole + tail[: len(tail) // 2])
    assert (status, len(said)) == (7, 1)
    assert f"offset {len(whole)}" in said[0]


def test_the_json_form_says_the_same(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(zstandard.compress(archive("a", uid=3) + archive("b")))
    command = [str(SRBUILD), "verify", "--json", str(tmp_path / "image")]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert done.returncode == 7
    text = json.dumps(json.loads(done.stdout))
    assert "a belongs to 3:0, not to root" in text
    assert "something behind its TRAILER!!!" in text
