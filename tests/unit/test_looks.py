"""What is noted of each look, and what of a change the notes show."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from srbuild.host import looks
from srbuild.host.looks import Looks, is_settled, is_unchanged, look, look_plain, recorded
from srbuild.host.sysroot import Sysroot
from srbuild.paths import SysrootPath

SECOND = 1_000_000_000


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that the tests have just made count as old."""
    monkeypatch.setattr(looks, "is_settled", lambda *_: True)


@pytest.mark.parametrize(
    ("mtime", "ctime", "now", "is_old"),
    [
        (1, 1, 100_000_001, True),
        (1, 1, 100_000_000, False),
        (1, 50_000_001, 100_000_001, False),
        (50_000_001, 1, 100_000_001, False),
        (5 * SECOND, 5 * SECOND, 6 * SECOND, False),  # a clock of seconds
        (5 * SECOND, 5 * SECOND, 7 * SECOND, True),
        (9 * SECOND, 1, 5 * SECOND, False),  # from the future: the clocks disagree
    ],
)
def test_a_file_is_settled_once_its_clock_has_ticked(
    mtime: int, ctime: int, now: int, is_old: bool
) -> None:
    assert is_settled(mtime, ctime, now) is is_old


def rewrite(path: Path) -> None:
    """Other bytes in the same file, with the same size and mtime."""
    before = path.stat()
    path.write_bytes(b"Y" * before.st_size)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace(path: Path) -> None:
    """Another file of the same size and mtime under the name."""
    before = path.stat()
    new = path.with_name("new")
    new.write_bytes(b"Z" * before.st_size)
    os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))
    new.replace(path)


def retarget(path: Path) -> None:
    path.unlink()
    path.symlink_to("folder/inner")


CHANGES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "rewritten": ("file", rewrite),
    "replaced": ("file", replace),
    "grown": ("file", lambda path: path.write_bytes(b"x" * 99)),
    "removed": ("file", Path.unlink),
    "another mode": ("file", lambda path: path.chmod(0o755)),
    "a name more": ("folder", lambda path: (path / "more").touch()),
    "a name less": ("folder", lambda path: (path / "inner").unlink()),
    "another link": ("link", retarget),
    "appeared": ("absent", Path.touch),
    "appeared as a folder": ("absent", Path.mkdir),
    "appeared as a link to nothing": ("absent", lambda path: path.symlink_to("nothing")),
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_shows(tmp_path: Path, change: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/inner").touch()
    (tmp_path / "file").write_bytes(b"x" * 10)
    (tmp_path / "link").symlink_to("file")
    with recorded() as seen:
        for name in ("file", "folder", "link", "absent"):
            look_plain(str(tmp_path / name))
    assert seen.is_sure
    assert is_unchanged({}, seen.plain)
    name, make = CHANGES[change]
    make(tmp_path / name)
    assert not is_unchanged({}, seen.plain)


def test_a_followed_links_file_is_what_counts(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text("same")
    (tmp_path / "link").symlink_to("one")
    with recorded() as seen:
        look(tmp_path / "link")
    assert is_unchanged(seen.followed, {})
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to("two")
    assert not is_unchanged(seen.followed, {})


def test_what_was_seen_first_counts(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("one")
    with recorded() as seen:
        look(path)
        path.write_text("another")
        look(path)
    assert not is_unchanged(seen.followed, {})


def test_what_comes_and_goes_meanwhile_makes_it_unsure(tmp_path: Path) -> None:
    with recorded() as seen:
        look(tmp_path / "file")
        (tmp_path / "file").touch()
        look(tmp_path / "file")
        (tmp_path / "file").unlink()
    assert not seen.is_sure


@pytest.mark.parametrize("name", ["with\0nul", "n" * 300])
def test_what_cannot_be_looked_at_makes_it_unsure(tmp_path: Path, name: str) -> None:
    with recorded() as seen:
        look(tmp_path / name)
    assert not seen.is_sure
    assert not is_unchanged({str(tmp_path / name): None}, {})


def test_a_loop_of_links_makes_it_unsure(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with recorded() as seen:
        look(tmp_path / "loop")
    assert not seen.is_sure


def test_a_fresh_file_makes_it_unsure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "is_settled", is_settled)
    (tmp_path / "file").touch()
    with recorded() as seen:
        look(tmp_path / "file")
    assert not seen.is_sure


def test_code_must_be_there_and_older_than_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looks, "is_settled", is_settled)
    path = tmp_path / "code.py"
    path.touch()
    newest = max(path.stat().st_mtime_ns, path.stat().st_ctime_ns)
    clock = iter([newest, newest + 10 * SECOND])  # it began with the file, and looks later
    young = Looks(lambda: next(clock))
    young.note_code(str(path))
    assert not young.is_sure
    old = Looks(lambda: newest + 10 * SECOND)
    old.note_code(str(path))
    assert old.is_sure
    old.note_code(str(tmp_path / "gone.py"))
    assert not old.is_sure


def test_variables_are_noted_whether_set_or_not() -> None:
    seen = Looks()
    environ = seen.environ({"A": "1", "B": "2"})
    assert (environ.get("A"), environ.get("C", "x"), "B" in environ) == ("1", "x", True)
    assert seen.variables == {"A": "1", "C": None, "B": "2"}


def test_other_threads_looks_are_noted(tmp_path: Path) -> None:
    with recorded() as seen:
        thread = threading.Thread(target=look, args=(tmp_path,))
        thread.start()
        thread.join()
    assert list(seen.followed) == [str(tmp_path)]


def test_outside_of_a_record_nothing_is_noted(tmp_path: Path) -> None:
    with recorded() as seen:
        with recorded() as inner:
            look(tmp_path)
        look(tmp_path / "later")
    look(tmp_path / "never")
    assert (list(inner.followed), list(seen.followed)) == (
        [str(tmp_path)],
        [str(tmp_path / "later")],
    )


def test_a_sysroots_every_answer_is_noted(tmp_path: Path) -> None:
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "usr/lib/file").write_text("x")
    (tmp_path / "lib").symlink_to("/usr/lib")
    with recorded() as seen:
        root = Sysroot(tmp_path)
        assert root.read(SysrootPath("/lib/file")) == b"x"
        assert root.find(SysrootPath("/usr/bin/absent")) is None
        assert root.glob("/usr/lib/*.so") == []
    below = {path.removeprefix(str(tmp_path)): at for path, at in seen.plain.items()}
    assert set(below) == {"/", "/lib", "/usr", "/usr/lib", "/usr/lib/file"}
    assert None not in below.values()  # /usr, which was listed, lacks what is absent
    assert list(seen.followed) == [str(tmp_path)]
