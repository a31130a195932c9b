"""The bench's own arithmetic: what it says must be what was measured. No test asserts a time."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench import inside
from bench.content import (
    ASKED,
    KMODS,
    OTHERS,
    PARTS,
    Content,
    Wanted,
    compress_parts,
    kmod_name,
    lacking,
    read_wanted,
)
from bench.figures import Bar, Spread, fastest, ratios, spread, table
from bench.measure import (
    BenchError,
    Command,
    Memory,
    Sample,
    count_processes,
    run,
    run_sampled,
)
from bench.report import bars, later_bars, render_report
from bench.rounds import Results, check_alike
from bench.subjects import (
    COLD,
    FLOOR,
    IMPORT_CLICK,
    REASSEMBLED,
    WARM,
    WRITING,
)

WANTED = Wanted(("gfs2", "virtio_pci"), ("/usr/sbin/corosync",), ("/usr/lib/libqb.so.100",))
DLOPENED = ("/usr/lib/liblzma.so.5",)


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


def test_the_fastest_one_has_the_smallest_median() -> None:
    assert fastest([1, 9, 9], [5, 5, 5]) == [5, 5, 5]


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
    text = render_report("bookworm", results)
    for name in (*results.samples, *(bar.what for bar in bars(results))):
        assert f"\n{name} " in text
    assert "18.00      476    167" in text
    assert "\ndracut, copying only / cold: wall 2.50 (" in text
    assert "imports  100.0  90.0" in text
    assert "write    300.0     -" in text
    assert json.loads(json.dumps(results.document()))["wanted"]["kmods"] == list(WANTED.kmods)


def test_a_tree_without_srbuilds_other_situations_has_fewer_bars(results: Results) -> None:
    few = {name: results.samples[name] for name in (FLOOR, COLD, "mkinitramfs")}
    content = {**results.content, "mkosi-initrd": Content(68_000_000, 9, 1, 1, ("x",))}
    found = {bar.what: bar for bar in bars(replace(results, samples=few, content=content))}
    assert not any("warm" in what for what in found)
    assert found["faster peer / cold, wall"].measured.median == pytest.approx(10)
    assert found["image / mkosi-initrd's, bytes"].is_met
    later = later_bars(replace(results, samples=few))
    assert [bar.what for bar in later] == ["cold / floor, wall", "cold / floor, cpu"]


def test_no_bar_compares_with_a_peer_that_was_not_measured(results: Results) -> None:
    alone = {name: results.samples[name] for name in (FLOOR, COLD)}
    content = {COLD: results.content[COLD]}
    found = bars(replace(results, samples=alone, content=content))
    assert [bar.what for bar in found] == ["cold / floor, wall", "cold / floor, cpu"]


def test_a_slow_peer_is_compared_in_the_rounds_it_took_part_in(results: Results) -> None:
    samples = {**results.samples, "mkosi-initrd": [Sample(60, 40)]}
    text = render_report("sid", replace(results, samples=samples))
    row = next(line for line in text.splitlines() if line.startswith("mkosi-initrd "))
    assert row.split()[1::2] == ["60.00", "20.00", "30.00", "10.00"]  # / floor, / cold
    memory = {**results.memory, "mkosi-initrd": Memory(1, 2)}
    text = render_report("sid", replace(results, samples=samples, memory=memory))
    assert "\nmkosi-initrd: the first 1 rounds only\n" in text


def test_the_report_says_what_each_mb_is_for_and_what_started(results: Results) -> None:
    content = dict(results.content)
    parts = {KMODS: 11_000_000, ASKED: 5_500_000, OTHERS: 3_500_000}
    content["mkinitramfs"] = replace(content["mkinitramfs"], parts=parts)
    text = render_report(
        "bookworm", replace(results, content=content, processes={"mkinitramfs": 2041})
    )
    lines = [line.split() for line in text.splitlines() if line.startswith("mkinitramfs ")]
    assert ["mkinitramfs", "11.00", "5.50", "3.50", "20.00", "0.90"] in lines
    assert lines[0][-1] == "2041"


def test_what_was_not_measured_is_told_with_the_reason(results: Results) -> None:
    absent = {"ugrd": "Debian sid has no package of that name"}
    text = render_report("sid", replace(results, versions={"dracut": "112"}, absent=absent))
    assert text.endswith("\ndracut 112\nugrd: not measured: Debian sid has no package of that name")
    assert render_report("sid", "no mirror").endswith("\n\nNot measured: no mirror")


def test_an_image_that_lacks_something_is_told(results: Results) -> None:
    whole = render_report("sid", results)
    assert "All images hold them." in whole
    content = dict(results.content)
    content["dracut"] = replace(content["dracut"], lacks=("gfs2",))
    text = render_report("sid", replace(results, content=content))
    assert "All images hold them." not in text
    assert "\ndracut lacks 1 of them: gfs2\n" in text


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
    entries["/usr/lib/liblzma.so.5"] = entry("dlopen")
    entries["/usr/lib/libqb.so.100"]["reasons"] = [{"how": "dlopen"}, {"how": "DT_NEEDED"}]
    (tmp_path / "image.json").write_text(json.dumps({"entries": entries}))
    assert read_wanted(tmp_path / "image.json") == replace(WANTED, dlopened=DLOPENED)


def test_images_that_lack_something_are_not_compared(results: Results) -> None:
    wanted = replace(WANTED, dlopened=DLOPENED)
    for lacks in (DLOPENED, ()):
        check_alike({"mkinitramfs": replace(results.content[COLD], lacks=lacks)}, wanted)
    lacking_kmod = replace(results.content[COLD], lacks=(*DLOPENED, "gfs2"))
    check_alike({"mkosi-initrd": lacking_kmod}, wanted)
    with pytest.raises(BenchError, match=r"the image of mkinitramfs lacks gfs2$"):
        check_alike({"mkinitramfs": lacking_kmod}, wanted)


def test_each_file_counts_for_one_part_and_once(tmp_path: Path) -> None:
    noise = os.urandom(70_000)  # can't be compressed
    for path, data in (
        ("lib/modules/6.1/gfs2.ko", noise[:40_000]),
        ("sbin/aaa", noise[40_000:50_000]),
        ("lib/libqb.so.100.3.3", noise[50_000:60_000]),
        ("bin/busybox", noise[60_000:]),
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    (tmp_path / "bin/sh").hardlink_to(tmp_path / "bin/busybox")
    (tmp_path / "bin/ls").symlink_to("busybox")
    (tmp_path / "sbin/corosync").hardlink_to(tmp_path / "sbin/aaa")
    (tmp_path / "lib/libqb.so.100").symlink_to("libqb.so.100.3.3")
    found = compress_parts(tmp_path, WANTED)
    assert tuple(found) == PARTS
    for part, size in ((KMODS, 40_000), (ASKED, 20_000), (OTHERS, 10_000)):
        assert size < found[part] < size + 100


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


@pytest.mark.skipif(
    subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "true"], check=False
    ).returncode
    != 0,
    reason="this user can't make a namespace",
)
def test_processes_are_counted_grandchildren_too(tmp_path: Path) -> None:
    script = "true & (sh -c 'true; true; exit 0'; exit 0); wait"
    assert count_processes(Command(("sh", "-c", "exit 0")), tmp_path / "log") == 1
    many = count_processes(Command(("sh", "-c", f"{script}; exit 0")), tmp_path / "log")
    assert many in {3, 4}  # true is a builtin of some shells, not of all
    with pytest.raises(BenchError, match="status 3"):
        count_processes(Command(("sh", "-c", "exit 3")), tmp_path / "log")


def test_a_failure_shows_the_command_and_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"(?s)sh -c.*status 3\n.*went wrong"):
        run(Command(("sh", "-c", "echo went wrong >&2; exit 3")), tmp_path / "log")


def test_what_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.measure.TIMEOUT", 0.2)
    began = time.monotonic()
    with pytest.raises(BenchError, match="not done after"):
        run(Command(("sh", "-c", "sleep 100 & sleep 100")), tmp_path / "log")
    assert time.monotonic() - began < 50


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
