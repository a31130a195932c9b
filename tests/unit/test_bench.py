"""The bench's own arithmetic: what it says must be what was measured. No test asserts a time."""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench import inside
from bench.content import Content, Wanted, kmod_name, lacking, read_wanted
from bench.figures import Bar, Spread, faster, ratios, spread, table
from bench.measure import BenchError, Command, Memory, Sample, run, run_sampled
from bench.peers import configure
from bench.report import bars, later_bars, render_report
from bench.rounds import Results
from bench.subjects import (
    COLD,
    FLOOR,
    IMPORT_CLICK,
    REASSEMBLED,
    WARM,
    WRITING,
    Build,
    change_file,
)

WANTED = Wanted(("gfs2", "virtio_pci"), ("/usr/sbin/corosync",), ("/usr/lib/libqb.so.100",))


# --- figures ----------------------------------------------------------------------------------


def test_a_spread_is_the_median_between_the_quartiles() -> None:
    assert spread([5, 1, 4, 2, 3]) == Spread(3, 2, 4)
    assert spread([7.5]) == Spread(7.5, 7.5, 7.5)
    assert spread([1, 2]).median == 1.5
    assert Spread(1.234, 1.2, 1.31).text() == "1.23 (1.20-1.31)"


def test_ratios_are_of_the_same_round() -> None:
    assert ratios([2, 20, 200], [1, 10, 100]) == Spread(2, 2, 2)
    with pytest.raises(ValueError, match="shorter"):
        ratios([1, 2], [1])


def test_the_faster_one_has_the_smaller_median() -> None:
    assert faster([1, 9, 9], [5, 5, 5]) == [5, 5, 5]


@pytest.mark.parametrize(
    ("measured", "at_least", "met"),
    [(3, False, True), (3.01, False, False), (3, True, True), (2.99, True, False)],
)
def test_a_bar_is_met_up_to_its_limit(measured: float, at_least: bool, met: bool) -> None:
    bar = Bar("x", Spread(measured, 0, 9), 3, at_least)
    assert bar.is_met is met
    assert bar.row()[3] == ("met" if met else "NOT MET")
    assert bar.row()[1] == (">= 3" if at_least else "<= 3")


def test_a_table_lines_up() -> None:
    text = table(("", "n"), [("a", "100"), ("long", "5")])
    assert text.splitlines() == ["        n", "----  ---", "a     100", "long    5"]


# --- the report -------------------------------------------------------------------------------


@pytest.fixture
def results() -> Results:
    seconds = {
        FLOOR: 1.0,
        COLD: 2.0,
        WARM: 0.5,
        REASSEMBLED: 0.8,
        WRITING: 0.7,
        IMPORT_CLICK: 0.1,
        "mkinitramfs": 20.0,
        "dracut": 9.0,
        "dracut, copying only": 5.0,
    }
    samples = {name: [Sample(wall, wall * 2), Sample(wall * 3, wall * 6)]
               for name, wall in seconds.items()}  # fmt: skip
    content = {
        COLD: Content(18_000_000, 476, 167, 60_000_000, ()),
        "mkinitramfs": Content(20_000_000, 757, 174, 66_000_000, ()),
        "dracut": Content(16_000_000, 634, 167, 79_000_000, ()),
    }
    phases = {COLD: [{"imports": 0.1, "write": 0.3}], WARM: [{"imports": 0.09}]}
    memory = dict.fromkeys(seconds, Memory(50 << 20, 52 << 20))
    return Results(samples, memory, content, phases, WANTED)


def test_the_bars_compare_with_the_faster_peer_and_with_each_size(results: Results) -> None:
    found = {bar.what: bar for bar in bars(results)}
    assert found["cold / floor, wall"].measured.median == pytest.approx(2)
    assert found["faster peer / cold, wall"].measured.median == pytest.approx(4.5)
    assert found["faster peer / cold, cpu"].is_met
    assert found["warm / cold, wall"].measured.median == pytest.approx(0.25)
    assert found["image / mkinitramfs's, bytes"].is_met
    assert not found["image / dracut's, bytes"].is_met
    slow = {**results.samples, "dracut": [Sample(7.9, 7.9), Sample(23.7, 23.7)]}
    missed = {bar.what: bar.is_met for bar in bars(replace(results, samples=slow))}
    assert not missed["faster peer / cold, wall"]
    met = {bar.what: bar.is_met for bar in later_bars(results)}
    assert met.pop("writing / floor, wall")
    assert met.pop("reassembled / warm, wall")
    assert len(met) == 6
    assert not any(met.values())
    quick = {**results.samples, REASSEMBLED: [Sample(0.6, 1.2), Sample(1.8, 3.6)]}
    met = {bar.what: bar.is_met for bar in later_bars(replace(results, samples=quick))}
    assert met["reassembled / import click, wall"]
    assert met["reassembled / import click, cpu"]
    assert not met["warm / import click, cpu"]


def test_the_report_names_every_subject_and_bar(results: Results) -> None:
    text = render_report(results)
    for name in (*results.samples, *(bar.what for bar in bars(results))):
        assert f"\n{name} " in text
    assert "18.00      476    167" in text
    assert "\ndracut, copying only / cold: wall 2.50 (" in text
    assert "imports  100.0  90.0" in text
    assert "write    300.0     -" in text
    assert json.loads(json.dumps(results.document()))["wanted"]["kmods"] == list(WANTED.kmods)


# --- what images hold -------------------------------------------------------------------------


def test_kmods_are_told_by_their_files_names() -> None:
    assert kmod_name("/lib/modules/6.1/kernel/fs/gfs2/gfs2.ko") == "gfs2"
    assert kmod_name("/lib/modules/6.1/crc32c-intel.ko.xz") == "crc32c_intel"
    assert kmod_name("/lib/modules/6.1/modules.dep") == ""
    assert kmod_name("/usr/bin/x.ko.sh") == ""


def test_what_an_image_lacks_is_found_in_any_directory_of_its_kind() -> None:
    tree = {
        "/sbin/corosync": "file",
        "/lib64/libqb.so.100": "symlink",
        "/lib/modules/6.1/virtio-pci.ko": "file",
    }
    assert lacking(tree, WANTED) == ("gfs2",)
    assert lacking({"/usr/sbin/corosync": "dir"}, WANTED) == (
        *WANTED.kmods,
        *WANTED.programs,
        *WANTED.libraries,
    )


def test_what_is_wanted_is_read_from_the_sidecar(tmp_path: Path) -> None:
    def entry(how: str) -> dict[str, object]:
        return {"type": "file", "reasons": [{"how": "parent", "by": "/x"}, {"how": how}]}

    entries = {
        "/lib/modules/6.1/virtio-pci.ko": entry("kmod"),
        "/lib/modules/6.1/gfs2.ko": entry("depends"),
        "/usr/sbin/corosync": entry("binary"),
        "/usr/lib/libqb.so.100": entry("DT_NEEDED"),
        "/init": entry("own file"),
    }
    (tmp_path / "image.json").write_text(json.dumps({"entries": entries}))
    assert read_wanted(tmp_path / "image.json") == WANTED


# --- running ----------------------------------------------------------------------------------


def test_children_are_measured_too(tmp_path: Path) -> None:
    burn = "import time\nwhile time.process_time() < 0.2: pass"
    command = Command(("sh", "-c", '"$0" -c "$1" & wait', sys.executable, burn))
    sample = run(command, tmp_path / "log")
    assert sample.wall > 0
    assert sample.cpu >= 0.2


def test_memory_is_that_of_the_whole_tree(tmp_path: Path) -> None:
    hold = """
import os, pathlib, time
held = b"x" * (40 << 20)
pathlib.Path(str(os.getpid())).touch()
while len(list(pathlib.Path().iterdir())) < 2:
    time.sleep(0.01)
time.sleep(0.5)
"""
    (tmp_path / "here").mkdir()
    both = '"$0" -c "$1" & "$0" -c "$1"; wait'
    command = Command(("sh", "-c", both, sys.executable, hold), tmp_path / "here")
    memory = run_sampled(command, tmp_path / "log")
    assert 40 << 20 < memory.largest < 80 << 20
    assert memory.together > 80 << 20


def test_a_failure_shows_the_command_and_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"(?s)sh -c.*status 3\n.*went wrong"):
        run(Command(("sh", "-c", "echo went wrong >&2; exit 3")), tmp_path / "log")


def test_what_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.measure.TIMEOUT", 0.2)
    began = time.monotonic()
    with pytest.raises(BenchError, match="not done after"):
        run(Command(("sh", "-c", "sleep 100 & sleep 100")), tmp_path / "log")
    assert time.monotonic() - began < 50


# --- subjects ---------------------------------------------------------------------------------


def test_every_tool_is_told_the_same(tmp_path: Path) -> None:
    (tmp_path / "etc/initramfs-tools/conf.d").mkdir(parents=True)
    peers = configure(tmp_path, "6.1.0", ["gfs2", "dlm"], ["/usr/sbin/corosync"], ["bonding"])
    written = {
        path.name: path.read_text()
        for path in (tmp_path / "var/lib/bench").rglob("*")
        if path.is_file()
    }
    assert written["modules"] == "gfs2\ndlm\n"
    assert written["programs"] == "/usr/sbin/corosync\n"
    assert "COMPRESSLEVEL=3" in written["initramfs.conf"]
    for name in ("dracut.conf", "dracut-least-modules.conf", "dracut-copying-only.conf"):
        assert 'drivers=" gfs2 dlm "' in written[name]
        assert 'install_items=" /usr/sbin/corosync "' in written[name]
        assert 'omit_drivers=" bonding "' in written[name]
        assert 'compress="zstd -3 ' in written[name]
    names = ["mkinitramfs", "dracut", "dracut, least modules", "dracut, copying only"]
    assert [peer.name for peer in peers] == names
    assert len({peer.image for peer in peers}) == 4
    for peer in peers:
        assert peer.command.argv[:2] == ("chroot", str(tmp_path))
        assert peer.command.argv[-1] == "6.1.0"
        assert f"/{peer.image.relative_to(tmp_path)}" in peer.command.argv


def test_a_changed_file_leaves_its_hard_links_alone(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"\x7fELF")
    (tmp_path / "one").chmod(0o755)
    (tmp_path / "two").hardlink_to(tmp_path / "one")
    change_file(tmp_path / "two", 1)
    first = (tmp_path / "two").read_bytes()
    change_file(tmp_path / "two", 2)
    assert (tmp_path / "one").read_bytes() == b"\x7fELF"
    assert first.startswith(b"\x7fELF")
    assert len({first, (tmp_path / "two").read_bytes(), b"\x7fELF"}) == 3
    assert (tmp_path / "two").stat().st_mode & 0o777 == 0o755


def test_a_build_keeps_to_its_folder_and_forgets(tmp_path: Path) -> None:
    build = Build(tmp_path / "cold", tmp_path / "root")
    assert build.environment["XDG_CACHE_HOME"].startswith(str(tmp_path))
    before = build.cluster.read_text()
    build.set_token(4001)
    assert build.cluster.read_text() == before.replace("3000", "4001")
    (build.folder / "cache").mkdir()
    for name in ("image", "image.json"):
        (build.folder / name).write_bytes(b"")
    build.forget()
    assert [path.name for path in build.folder.iterdir()] == ["cluster.toml"]


# --- looking inside ---------------------------------------------------------------------------


def places() -> Iterator[str]:
    for group in inside.PHASES.values():
        yield from group
    yield inside.BESIDE


@pytest.mark.parametrize("place", list(places()))
def test_every_phase_is_a_function_of_srbuild(place: str) -> None:
    module, _, name = place.partition(":")
    found: object = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    assert callable(found)


def test_nested_phases_are_not_counted_twice() -> None:
    watch = inside.Stopwatch()
    inner = watch.wrap("inner", lambda: time.sleep(0.05))
    outer = watch.wrap("outer", lambda: [time.sleep(0.02), inner()])
    began = time.perf_counter()
    outer()
    seconds = watch.stop()
    whole = time.perf_counter() - began
    assert seconds["inner"] >= 0.05
    assert 0.02 <= seconds["outer"] <= whole - seconds["inner"]
