"""Many images in one run: the same bytes as alone, every segment made once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.places import SRBUILD, Place
from support.web import serving

MATRIX = """\
output = "out/{kmod}-{mtu}.img"
[options]
fs = "gfs2"
blk = "iscsi"
cluster = "cluster.toml"
[axes]
kmod = ["dummy", "nbd"]
mtu = [{label = "std"}, {label = "jumbo", set = ["network.mtu=9000"]}]
"""
IMPOSSIBLE = MATRIX.replace('"nbd"', '"nosuchdriver"')


@pytest.fixture
def field(sysroot: Path, tmp_path: Path) -> Place:
    place = Place(tmp_path / "field", sysroot)
    (place.folder / "out").mkdir()
    (place.folder / "m.toml").write_text(MATRIX)
    return place


def run(place: Place, *words: str) -> tuple[int, str, str]:
    argv = [SRBUILD, "build", "--matrix", "m.toml", "--sysroot", str(place.sysroot), *words]
    process = place.start(argv)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def document(place: Place, *words: str, code: int = 0) -> dict[str, Any]:
    status, out, err = run(place, "--json", *words)
    assert status == code, err + out
    found = json.loads(out)
    assert isinstance(found, dict)
    return found


def images(place: Place) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (place.folder / "out").glob("*.img")}


def stamps(place: Place) -> dict[str, tuple[int, int]]:
    found = {path.name: path.stat() for path in (place.folder / "out").iterdir()}
    return {name: (status.st_ino, status.st_mtime_ns) for name, status in found.items()}


@pytest.mark.parametrize("jobs", ["1", "2", "3"])
def test_each_image_is_the_one_that_would_be_built_alone(field: Place, jobs: str) -> None:
    document(field, "--jobs", jobs)
    found = images(field)
    assert set(found) == {f"{k}-{m}.img" for k in ("dummy", "nbd") for m in ("std", "jumbo")}
    extra = ["--set", "network.mtu=9000", "--kmod", "nbd", "--no-cache"]
    field.build(*extra)
    assert field.image.read_bytes() == found["nbd-jumbo.img"]
    sidecar = field.folder / "image.json"
    assert sidecar.read_bytes() == (field.folder / "out/nbd-jumbo.img.json").read_bytes()
    assert list((field.folder / "cache/srbuild").glob(".srbuild-stock*")) == []


def test_a_distinct_segment_is_made_once(field: Place) -> None:
    found = document(field)
    rows = [segment for image in found["images"] for segment in image["segments"]]
    made = [segment["sha256"] for segment in rows if not segment["from_cache"]]
    assert len(made) == len(set(made)) == len({segment["sha256"] for segment in rows})
    assert found["distinct_size"] < found["size"] / 3.5
    assert found["failed"] == 0
    big = [s for s in rows if s["name"] == "kmods"]
    assert len(big) == 4
    assert len({s["sha256"] for s in big}) == 1


def test_a_second_run_leaves_all_images_alone(field: Place) -> None:
    document(field)
    before = stamps(field)
    found = document(field)
    assert [image["changed"] for image in found["images"]] == [False] * 4
    assert stamps(field) == before


def test_one_failing_image_stops_no_other(field: Place) -> None:
    (field.folder / "m.toml").write_text(IMPOSSIBLE)
    found = document(field, code=4)
    assert [image["exit_code"] for image in found["images"]] == [0, 0, 4, 4]
    assert found["exit_code"] == 4
    assert "nosuchdriver" in found["images"][2]["errors"][0]["message"]
    assert set(images(field)) == {"dummy-std.img", "dummy-jumbo.img"}
    code, out, err = run(field)
    assert code == 4
    assert "out/nosuchdriver-std.img: " in err
    assert "2 of 4 images" in out
    assert "failed, exit code 4" in out


def test_a_row_with_wrong_options_fails_alone(field: Place) -> None:
    text = MATRIX + '[[include]]\noutput = "out/x.img"\ncompression = "zip"\n'
    (field.folder / "m.toml").write_text(text)
    found = document(field, code=3)
    assert [image["exit_code"] for image in found["images"]] == [0, 0, 0, 0, 3]


def test_the_worst_code_is_the_runs(field: Place) -> None:
    text = IMPOSSIBLE + '[[include]]\noutput = "out/x.img"\ncompression = "zip"\n'
    (field.folder / "m.toml").write_text(text)
    assert document(field, code=4)["exit_code"] == 4


def test_what_is_for_one_image_is_refused(field: Place) -> None:
    for words in (("-o", "x"), ("--dry-run",), ("--uki", "x.efi")):
        code, _, err = run(field, *words)
        assert code == 2
        assert "is for one image" in err
    process = field.start([SRBUILD, "build", "--fs", "gfs2", "--shard", "1/2"])
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "--shard and --jobs are for --matrix" in err


def test_secrets_are_in_no_cache_and_the_images_are_private(field: Place) -> None:
    text = (field.folder / "cluster.toml").read_text()
    head, _, tail = text.partition("[[node]]")
    only = "[[node]]" + tail.partition("[[node]]")[0]
    secret = '[node.iscsi]\nchap_user = "u"\nchap_secret = "hunter2hunter2"\n'
    (field.folder / "cluster.toml").write_text(head + only + secret)
    found = document(field, "--jobs", "2")
    assert found["failed"] == 0
    assert {path.stat().st_mode & 0o777 for path in (field.folder / "out").glob("*.img")} == {0o600}
    files = [path for path in (field.folder / "cache").rglob("*") if path.is_file()]
    assert not any(b"hunter2" in path.read_bytes() for path in files)


def test_a_shared_cache_serves_all_images(field: Place, sysroot: Path, tmp_path: Path) -> None:
    document(field)
    other = Place(tmp_path / "other", sysroot)
    (other.folder / "out").mkdir()
    (other.folder / "m.toml").write_text(MATRIX)
    with serving(field.folder / "cache/srbuild") as site:
        found = document(other, "--cache", site.url, "--cache", "none")
        distinct = {s["sha256"] for image in found["images"] for s in image["segments"]}
        assert len(site.asked) == len(set(site.asked)) == len(distinct)
    assert all(s["from_cache"] for image in found["images"] for s in image["segments"])
    assert images(other) == images(field)


def test_interrupted_it_leaves_whole_images_and_no_debris(field: Place) -> None:
    slow = MATRIX.replace('fs = "gfs2"\n', 'fs = "gfs2"\ncompression = "xz:6"\n')
    (field.folder / "m.toml").write_text(slow)
    argv = [SRBUILD, "build", "--matrix", "m.toml", "--sysroot", str(field.sysroot), "--jobs", "2"]
    process = field.start(argv, start_new_session=True)
    time.sleep(2)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert list((field.folder / "cache/srbuild").glob(".srbuild-stock*")) == []
    assert [path for path in (field.folder / "out").iterdir() if "draft" in path.name] == []


@pytest.mark.parametrize("forge", ["github", "gitlab"])
def test_the_jobs_of_a_pipeline_build_everything(field: Place, forge: str) -> None:
    """Each job's own commands, in a folder where its checkout would be, then the last job's."""
    argv = [SRBUILD, "matrix", "m.toml", f"--{forge}", "--shards", "3", "--setup", "true"]
    done = subprocess.run(argv, cwd=field.folder, check=True, capture_output=True, text=True)
    pipeline = yaml.safe_load(done.stdout)
    if forge == "github":
        build, collect = pipeline["jobs"]["build"], pipeline["jobs"]["collect"]
        shards = build["strategy"]["matrix"]["shard"]
        commands = [step["run"] for step in build["steps"] if "run" in step]
        last = [step["run"] for step in collect["steps"] if "run" in step]
        name = "SHARD"
    else:
        build, collect = pipeline["build"], pipeline["collect"]
        shards = list(range(1, build["parallel"] + 1))
        commands, last = build["script"], collect["script"]
        name = "CI_NODE_INDEX"
    assert shards == [1, 2, 3]
    environ = {
        **os.environ,
        "PATH": f"{Path(SRBUILD).parent}{os.pathsep}{os.environ['PATH']}",
        "SRBUILD_SYSROOT": str(field.sysroot),
        "SRBUILD_CACHE": ".srbuild-cache",
    }
    incomplete = subprocess.run(
        ["sh", "-eu", "-c", f"mkdir reports; {last[-1]}"],
        cwd=field.folder,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert incomplete.returncode == 1
    assert "no report tells of it" in incomplete.stdout
    for shard in shards:
        script = "\n".join(commands)
        environ[name] = str(shard)
        subprocess.run(["sh", "-eu", "-c", script], cwd=field.folder, env=environ, check=True)
    done = subprocess.run(
        ["sh", "-eu", "-c", "\n".join(last)],
        cwd=field.folder,
        env=environ,
        check=True,
        capture_output=True,
        text=True,
    )
    assert "4 of 4 images" in done.stdout
    assert len(images(field)) == 4
