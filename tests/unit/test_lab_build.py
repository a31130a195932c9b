"""What a lab run is given: the kernel that fits, the server's parts, and the verb's answers."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from srbuild.cli.test import test as verb
from srbuild.errors import MissingInputError
from srbuild.formats.cpio import CpioReader
from srbuild.lab import build, scenario
from srbuild.lab.build import find_kernel, image_kernel, site_part
from srbuild.lab.cluster import N1, N2
from srbuild.lab.rows.blocks import ISCSI, SECRET
from srbuild.lab.scenario import Inputs, Lab, Scenario
from srbuild.lab.scenarios import gfs2_iscsi
from srbuild.sidecar import SCHEMA

SIDECAR = {
    "schema": SCHEMA,
    "kernel": "6.1.0-1",
    "kernels": ["6.1.0-1"],
    "size": 0,
    "sha256": "",
    "content_size": 0,
    "notes": [],
    "segments": [],
    "packages": [],
    "entries": {},
}


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "gfs2-iscsi.img"
    path.write_bytes(b"")
    path.with_name("gfs2-iscsi.img.json").write_text(json.dumps(SIDECAR))
    return path


@pytest.mark.parametrize("place", ["boot/vmlinuz-6.1.0-1", "usr/lib/modules/6.1.0-1/vmlinuz"])
def test_the_kernel_is_found_where_distributions_put_it(tmp_path: Path, place: str) -> None:
    kernel = tmp_path / place
    kernel.parent.mkdir(parents=True)
    kernel.write_bytes(b"")
    (tmp_path / "lib").symlink_to("usr/lib")
    assert find_kernel(tmp_path, "6.1.0-1") == kernel


def test_a_kernel_of_another_version_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "boot").mkdir()
    (tmp_path / "boot/vmlinuz-6.1.0-2").write_bytes(b"")
    with pytest.raises(MissingInputError, match=r"no kernel 6\.1\.0-1"):
        find_kernel(tmp_path, "6.1.0-1")


def test_the_sidecar_says_the_kernel(image: Path) -> None:
    assert image_kernel(image) == "6.1.0-1"


def test_an_image_without_a_sidecar_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match=r"x\.img\.json"):
        image_kernel(tmp_path / "x.img")


def files(part: bytes) -> dict[str, bytes]:
    reader = CpioReader(io.BytesIO(part))
    return {header.name.decode(): b"".join(reader.chunks()) for header in reader}


def test_the_nodes_part_holds_the_node_table_and_both_archives() -> None:
    part = files(site_part({"fs": "gfs2", "blk": "iscsi"}, gfs2_iscsi.ROW.cluster()))
    assert part["etc/srbuild/nodes"].splitlines() == [
        f"n1 1 {N1.mac}".encode(),
        f"n2 2 {N2.mac}".encode(),
    ]
    assert {"etc/srbuild/nodes.d/n1.cpio", "etc/srbuild/nodes.d/n2.cpio"} <= part.keys()


def test_the_servers_secret_is_in_its_own_file_alone() -> None:
    options = {"image": "lab-server", "modules": ("lab-gfs2", "iscsi-target")}
    part = files(site_part(options, ISCSI.cluster))
    secret = SECRET.encode()
    assert [name for name, data in part.items() if secret in data] == [
        "etc/srbuild/iscsi-target.secret"
    ]


def invoke(
    monkeypatch: pytest.MonkeyPatch, image: Path, holds: bool, *args: str
) -> tuple[int, str, str]:
    """Run the verb with a scenario that needs no machine."""

    def judge(lab: Lab) -> None:
        with lab.step("judging"):
            lab.expect(holds, "better")

    one = Scenario("gfs2-iscsi", "judge", "gfs2", "iscsi", (), judge)

    def inputs(request: build.LabRequest, *_: object) -> Inputs:
        return Inputs(
            request.image, image, image, lambda _: b"", lambda _: b"", request.folder, image.parent
        )

    monkeypatch.setattr(scenario, "load_scenarios", lambda: {one.name: one})
    monkeypatch.setattr(build, "make_inputs", inputs)
    result = CliRunner().invoke(verb, [str(image), *args], catch_exceptions=False)
    return result.exit_code, result.stdout, result.stderr


def test_a_passed_scenario_exits_0(monkeypatch: pytest.MonkeyPatch, image: Path) -> None:
    status, out, err = invoke(monkeypatch, image, True)
    assert status == 0
    assert out.startswith("gfs2-iscsi: passed")
    assert "judging" in err


def test_a_scenario_not_passed_exits_7_and_says_why(
    monkeypatch: pytest.MonkeyPatch, image: Path
) -> None:
    status, out, err = invoke(monkeypatch, image, False)
    assert status == 7
    assert out.startswith("gfs2-iscsi: not passed")
    assert "expected: better" in err


@pytest.mark.parametrize(("holds", "status"), [(True, 0), (False, 7)])
def test_json_is_all_of_stdout(
    monkeypatch: pytest.MonkeyPatch, image: Path, holds: bool, status: int
) -> None:
    exit_code, out, _ = invoke(monkeypatch, image, holds, "--json")
    document = json.loads(out)
    assert exit_code == status
    assert document["passed"] is holds
    assert document["steps"][0]["what"] == "judging"


def test_list_needs_no_image() -> None:
    result = CliRunner().invoke(verb, ["--list"])
    assert result.exit_code == 0
    assert "gfs2-iscsi-wrong-secret" in result.stdout
