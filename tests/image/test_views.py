"""`srbuild why`, `size` and `diff`, run as a user runs them on small images."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from srbuild.cli.main import main
from srbuild.errors import Origin
from srbuild.image import write_image
from srbuild.layers import split_layers
from srbuild.manifest import Entry, Inline, Manifest, Reason, Symlink
from srbuild.outputs import sidecar_path
from srbuild.paths import ImagePath
from srbuild.sidecar import to_json
from support.images import entry, file_at, manifest_of, sample

Run = Callable[..., tuple[int, str, str]]
RECIPE = Reason("binary", Origin("recipe.toml", "install.binaries[0]"))
TOOL, LINK, LIB = map(ImagePath, ("/usr/bin/tool", "/usr/lib/liba.so.1", "/usr/lib/liba.so.1.2"))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def srbuild(*args: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(arg) for arg in args])
        out, err = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, out, err

    return srbuild


def write(target: Path, entries: dict[str, Entry]) -> Path:
    target.parent.mkdir(exist_ok=True)
    manifest: Manifest = manifest_of(entries)
    image, report = write_image(split_layers(manifest), target)
    sidecar_path(target).write_bytes(to_json(manifest, image, report))
    return target


@pytest.fixture
def image(tmp_path: Path) -> Path:
    needed = Reason("DT_NEEDED", TOOL)
    extra = Reason("plugin", Origin("module x", "install.plugins[0]"))
    entries = {
        **sample(tmp_path),
        TOOL: Entry(Inline(b"t" * 30, 0o755), "base", (RECIPE,)),
        LINK: Entry(Symlink("liba.so.1.2"), "base", (needed, extra)),
        LIB: Entry(Inline(b"l" * 200, 0o755), "base", (Reason("link", LINK),)),
    }
    return write(tmp_path / "out/a.img", entries)


def test_why_tells_every_wish_up_to_its_origin(run: Run, image: Path) -> None:
    status, out, _ = run("why", image, "/lib/liba.so.1")
    assert status == 0
    assert out.splitlines() == [
        f"{LINK} (segment base)",
        f"  ← DT_NEEDED: {TOOL} ← binary: recipe.toml: install.binaries[0]",
        "  ← plugin: module x: install.plugins[0]",
    ]
    _, out, _ = run("why", image, LIB)
    assert f"← link: {LINK} ← DT_NEEDED: {TOOL} ← binary: recipe.toml" in out


def test_why_as_json(run: Run, image: Path) -> None:
    document = json.loads(run("why", image, LIB, "--json")[1])
    assert (document["path"], document["segment"]) == (LIB, "base")
    assert document["chains"] == [
        [
            {"how": "link", "by": LINK},
            {"how": "DT_NEEDED", "by": TOOL},
            {"how": "binary", "source": "recipe.toml", "key": "install.binaries[0]"},
        ]
    ]


@pytest.mark.parametrize(
    ("path", "hint"),
    [("liba.so.1", LINK), ("/usr/lib64/liba.so.1", LINK), ("/usr/bin/tol", TOOL)],
)
def test_why_of_an_unknown_path_suggests_one(run: Run, image: Path, path: str, hint: str) -> None:
    status, out, err = run("why", image, path)
    assert (status, out) == (4, "")
    assert f"did you mean {hint}" in err


def test_chains_in_circles_end(run: Run, tmp_path: Path) -> None:
    one, two = ImagePath("/one"), ImagePath("/two")
    entries = {
        one: Entry(Inline(b"1"), "base", (Reason("shebang", two),)),
        two: Entry(Inline(b"2"), "base", (Reason("shebang", one),)),
    }
    status, out, _ = run("why", write(tmp_path / "a.img", entries), "/one")
    assert (status, out.splitlines()[1:]) == (0, ["  ← shebang: /two ← shebang: /one"])


def test_without_its_sidecar_or_with_anothers(run: Run, image: Path, tmp_path: Path) -> None:
    for verb in (["why", image, LIB], ["size", image]):
        assert run(*verb)[0] == 0
    image.write_bytes(image.read_bytes() + bytes(512))
    for verb in (["why", image, LIB], ["size", image]):
        status, out, err = run(*verb)
        assert (status, out) == (7, "")
        assert "another image" in err
    sidecar_path(image).unlink()
    assert run("why", image, LIB)[0] == 4
    assert "no image at" in run("size", tmp_path / "none")[2]


def test_size_adds_up(run: Run, image: Path) -> None:
    document = json.loads(run("size", image, "--json", "-n", "2")[1])
    packed = sum(part["length"] for part in document["segments"])
    assert 0 <= document["size"] - packed < 4 * len(document["segments"])  # padding
    assert sum(share["size"] for share in document["origins"]) == document["content_size"]
    assert [row["path"] for row in document["largest"]] == [
        "/usr/bin/busybox",
        "/usr/lib/modules/6.1/a.ko",
    ]
    text = run("size", image)[1]
    assert "recipe.toml" in text
    assert "/usr/bin/busybox" in text


def test_diff(run: Run, image: Path, tmp_path: Path) -> None:
    assert run("diff", image, image) == (0, "", "")
    before = {
        "/gone": entry(Inline(b"x")),
        "/same": entry(Inline(b"=")),
        "/mode": entry(Inline(b"m", 0o644)),
        "/etc/key": entry(Inline(b"old"), "site", secret=True),
    }
    after = {
        "/new": entry(Inline(b"x")),
        "/same": entry(Inline(b"=")),
        "/mode": entry(Inline(b"m", 0o600)),
        "/etc/key": entry(Inline(b"new"), "site", secret=True),
    }
    one, two = write(tmp_path / "one.img", before), write(tmp_path / "two.img", after)
    sidecar_path(two).unlink()  # any initramfs will do
    status, out, _ = run("diff", one, two)
    assert status == 1
    marks = [line.split("  ")[0] for line in out.splitlines() if not line.startswith("segments")]
    assert marks == ["~ /etc/key", "- /gone", "~ /mode", "+ /new"]
    assert "file 0644, 1 bytes" in out
    assert "old" not in out
    document = json.loads(run("diff", one, two, "--json")[1])
    assert [row["change"] for row in document["changes"]] == [
        "changed",
        "removed",
        "changed",
        "added",
    ]


def test_diff_of_the_same_files_otherwise_compressed(run: Run, tmp_path: Path) -> None:
    manifest = manifest_of({"/file": entry(file_at(tmp_path / "f", b"f" * 5000))})
    for name in ("zstd", "none"):
        write_image(split_layers(manifest, compression=name), tmp_path / name)
    status, out, _ = run("diff", tmp_path / "zstd", tmp_path / "none")
    assert status == 0
    assert out.startswith("segments: ")


@pytest.mark.parametrize("broken", ["none", "damaged"])
def test_diff_in_trouble(run: Run, image: Path, tmp_path: Path, broken: str) -> None:
    (tmp_path / "damaged").write_bytes(image.read_bytes()[:-40])
    status, out, err = run("diff", image, tmp_path / broken)
    assert (status, out) == (2, "")
    assert broken in err
