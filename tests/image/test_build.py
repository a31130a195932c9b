"""The main job on a real Debian tree: the same bytes anywhere, one segment a change.

What other tools make of the image is compared with what srbuild says of it.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from support.clusters import FULLER
from support.places import Place, part, segments, tree, unpacked

# --- the same bytes ---------------------------------------------------------------------------


def test_two_builds_in_two_places_give_the_same_bytes(
    built: tuple[Place, dict[str, Any]], copy: Path, tmp_path: Path
) -> None:
    """Other paths, inodes, umask, locale, time zone, hash seed, number of processors, cache."""
    first, document = built
    environ = {"LC_ALL": "C", "TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "7", "HOME": "/nowhere"}
    second = Place(tmp_path / "much" / "deeper" / "down", copy, environ)
    umask = os.umask(0o077)
    try:
        other = second.build("--no-cache", prefix=["taskset", "-c", "0"])
    finally:
        os.umask(umask)
    assert other["sha256"] == document["sha256"]
    assert second.image.read_bytes() == first.image.read_bytes()
    sidecars = [(p.folder / "image.json").read_bytes() for p in (first, second)]
    assert sidecars[0] == sidecars[1]
    assert str(copy).encode() not in sidecars[1]


def test_the_source_date_is_in_every_segment(place: Place) -> None:
    plain = place.image.read_bytes()
    place.environ["SOURCE_DATE_EPOCH"] = "1234567890"
    document = place.build()
    assert place.image.read_bytes() != plain
    assert not any(segment["from_cache"] for segment in document["segments"])
    for segment in document["segments"]:
        argv = ["bsdtar", "-tvf", "-"]
        environ = {**os.environ, "TZ": "UTC", "LC_ALL": "C"}
        data = part(place.image, segment)
        done = subprocess.run(argv, input=data, env=environ, check=True, capture_output=True)
        assert all(b" Feb 13  2009 " in line for line in done.stdout.splitlines())


# --- one segment a change ---------------------------------------------------------------------


def test_a_changed_cluster_file_makes_its_segment_anew(place: Place) -> None:
    before = place.build()
    old = {name: part(place.image, s) for name, s in segments(before).items()}
    (place.folder / "cluster.toml").write_text(FULLER.replace("3000", "4000"))
    after = place.build()
    made = [name for name, s in segments(after).items() if not s["from_cache"]]
    assert made == ["site"]
    new = {name: part(place.image, s) for name, s in segments(after).items()}
    assert [name for name in new if new[name] != old[name]] == ["site"]
    assert new.keys() == old.keys()


def test_one_changed_binary_makes_its_segment_anew(copy: Path, tmp_path: Path) -> None:
    place = Place(tmp_path / "place", copy)
    place.build()
    program = copy / "usr/sbin/corosync"
    data = program.read_bytes()
    try:
        program.write_bytes(data + b"\0")
        document = place.build()
    finally:
        program.write_bytes(data)
    made = [name for name, s in segments(document).items() if not s["from_cache"]]
    assert made == ["cluster"]


def test_nothing_changed_leaves_the_files_alone(place: Place) -> None:
    before = place.state()
    document = place.build()
    assert document["changed"] is False
    assert all(segment["from_cache"] for segment in document["segments"])
    assert place.state() == before


def test_a_check_says_what_the_build_makes(built: tuple[Place, dict[str, Any]]) -> None:
    first, document = built
    code, out, err = first.run("--dry-run", "--json")
    assert code == 0, err
    checked = json.loads(out)
    assert [s["name"] for s in checked["segments"]] == list(segments(document))
    assert checked["entries"] == document["entries"]


def test_base_and_site_parts_together_are_the_whole(place: Place) -> None:
    trees = [tree(place.image)]
    whole = place.image.read_bytes()
    place.build("--part", "base")
    joined = place.image.read_bytes()
    assert len(joined) < len(whole)
    place.build("--part", "site")
    joined += place.image.read_bytes()
    place.image.write_bytes(joined)
    (place.folder / "image.json").unlink()
    trees.append(tree(place.image))
    assert trees[0] == trees[1]


# --- what other tools find in it --------------------------------------------------------------


def names(argv: Sequence[str], archive: bytes) -> set[str]:
    environ = {**os.environ, "LC_ALL": "C.UTF-8"}
    done = subprocess.run(argv, input=archive, check=True, capture_output=True, env=environ)
    return {f"/{line.rstrip('/')}" for line in done.stdout.decode().splitlines()}


def test_gnu_cpio_bsdtar_and_srbuild_agree(built: tuple[Place, dict[str, Any]]) -> None:
    first, document = built
    listed = set(tree(first.image))
    found: dict[str, set[str]] = {"cpio": set(), "bsdtar": set(), "busybox": set()}
    for archive in unpacked(first.image, document):
        found["cpio"] |= names(["cpio", "-t", "--quiet"], archive)
        found["bsdtar"] |= names(["bsdtar", "-tf", "-"], archive)
        found["busybox"] |= names(["busybox", "cpio", "-t"], archive)
    assert found == dict.fromkeys(found, listed)
    assert {"/init", "/usr/sbin/iscsid", "/etc/srbuild/nodes.d/n2.cpio"} <= listed


def test_every_program_loads_in_the_unpacked_image(unpacked_tree: Path) -> None:
    """The image's own dynamic loader finds every library of every program and plug-in."""
    elf = [
        path
        for path in unpacked_tree.rglob("*")
        if path.is_file() and not path.is_symlink() and path.suffix != ".ko"
        if path.open("rb").read(4) == b"\x7fELF"
    ]
    assert len(elf) > 30
    [loader] = [path for path in elf if path.name.startswith("ld-linux")]
    inside = [f"/{path.relative_to(unpacked_tree)}" for path in elf if path != loader]
    script = 'loader=$1; shift; for it do "$loader" --list "$it" 2>&1; done'
    argv = ["chroot", str(unpacked_tree), "/usr/sbin/busybox", "sh", "-c", script, "sh"]
    if not (unpacked_tree / "usr/sbin/busybox").exists():
        argv[2] = "/usr/bin/busybox"
    if os.geteuid() != 0:
        argv = ["unshare", "--map-root-user", *argv]
    argv += [f"/{loader.relative_to(unpacked_tree)}", *inside]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.count("libc.so.6 => ") > 20
    assert [line for line in done.stdout.splitlines() if "not found" in line] == []


def test_modprobe_knows_the_images_kmods(unpacked_tree: Path) -> None:
    [version] = [path.name for path in (unpacked_tree / "usr/lib/modules").iterdir()]
    for name in ("gfs2", "iscsi_tcp", "dlm", "virtio_net", "sd_mod", "e1000e"):
        argv = ["modprobe", "-d", unpacked_tree, "-S", version, "--show-depends", name]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        for line in done.stdout.splitlines():
            assert Path(line.split()[1]).is_file(), line


def test_nothing_of_one_node_stands_in_the_common_tree(unpacked_tree: Path) -> None:
    own = {"n2.cpio"}
    for path in unpacked_tree.rglob("*"):
        if path.is_file() and not path.is_symlink():
            data = path.read_bytes()
            holds = b"iqn.2026-01.lab:second" in data
            assert holds is (path.name in own), path
