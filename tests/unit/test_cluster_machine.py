"""Nodes by what their firmware calls them: UUID, serial number, asset tag."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srbuild.config.cluster import Cluster, load_cluster
from srbuild.config.machine import parse_serial, parse_uuid, swap_uuid
from srbuild.errors import ErrorGroup, SrbuildError
from srbuild.pipeline import find_modules
from support.commands import Done

CATALOG = find_modules()
UUID = "4c4c4544-0042-3510-8052-b4c04f313233"
SWAPPED = "44454C4C-4200-1035-8052-B4C04F313233"
FILE = """\
name = "lab"
[fs]
type = "nfs"
server = "10.9.0.1"
path = "/srv/root"
[container]
type = "none"
[[node]]
name = "n1"
id = 1
uuid = "{4C4C4544-0042-3510-8052-B4C04F313233}"
serial = " CZ 123/4 "
[[node]]
name = "n2"
id = 2
asset_tag = "Room 7"
"""


@pytest.fixture
def load(tmp_path: Path) -> Callable[[str], Cluster]:
    def read(text: str) -> Cluster:
        path = tmp_path / "cluster.toml"
        path.write_text(text)
        return load_cluster(path, CATALOG)

    return read


def messages(error: SrbuildError) -> list[str]:
    return [str(one) for one in (error.errors if isinstance(error, ErrorGroup) else [error])]


def test_normal_forms(load: Callable[[str], Cluster]) -> None:
    first, second = load(FILE).nodes
    assert first.hardware == {"uuid": UUID, "serial": "CZ 123/4"}
    assert second.hardware == {"asset_tag": "Room 7"}


@pytest.mark.parametrize(
    ("more", "error"),
    [
        (f'uuid = "{UUID}"', f"node[1].uuid: the uuid {UUID} is already that of node[0].uuid"),
        (f'uuid = "{SWAPPED}"', "is already that of node[0].uuid"),
        ('serial = "cz 123/4"', "node[1].serial: the serial cz 123/4 is already that of node[0]"),
        ('uuid = "4c4c4544"', "node[1].uuid: '4c4c4544' is not a UUID"),
        ("uuid = 5", "node[1].uuid: 5 is not a UUID"),
        (f'uuid = "{"0" * 32}"', "is what many machines have"),
        (f'uuid = "{"Ff" * 16}"', "is what many machines have"),
        ('uuid = "03000200-0400-0500-0006-000700080009"', "is what many machines have"),
        ('uuid = "00020003-0004-0005-0006-000700080009"', "is what many machines have"),
        ('serial = "To be filled by O.E.M."', "node[1].serial: 'To be filled by O.E.M.' is what"),
        ('serial = "Default string"', "is what vendors write"),
        ('serial = "0000000"', "is what vendors write"),
        ('serial = "  "', "is what vendors write"),
        ('serial = ""', "must be 1 to 64 printable ASCII characters"),
        ('serial = "a\\u001bb"', "must be 1 to 64 printable ASCII characters"),
        ('serial = "a\\nn1 uuid x"', "must be 1 to 64 printable ASCII characters"),
        ('serial = ["a"]', "must be 1 to 64 printable ASCII characters"),
        ('assettag = "x"', "unknown key 'assettag'\n  hint: did you mean 'asset_tag"),
    ],
)
def test_mistakes_are_named(load: Callable[[str], Cluster], more: str, error: str) -> None:
    with pytest.raises(SrbuildError) as caught:
        load(f"{FILE}{more}\n")
    assert any(error in message for message in messages(caught.value))


def test_a_duplicate_names_both_nodes(load: Callable[[str], Cluster]) -> None:
    with pytest.raises(SrbuildError) as caught:
        load(f'{FILE}serial = "CZ 123/4"\n')
    (message,) = messages(caught.value)
    assert "n1 and n2 can't both have it" in message


def test_a_pattern_takes_them_from_its_table(
    load: Callable[[str], Cluster], tmp_path: Path
) -> None:
    head = FILE.partition("[[node]]")[0]
    (tmp_path / "machines.csv").write_text("name,serial\nn1,AA1\nn2,AA2\n")
    text = f'{head}[[node]]\nname = "n[1-2]"\nid = "[1-2]"\ntable = "machines.csv"\n'
    assert [node.serial for node in load(text).nodes] == ["AA1", "AA2"]
    with pytest.raises(SrbuildError, match="would be that of all 2 nodes"):
        load(f'{head}[[node]]\nname = "n[1-2]"\nid = "[1-2]"\nserial = "AA1"\n')


def test_shown_and_rendered(tmp_path: Path, srbuild: Callable[..., Done]) -> None:
    path = tmp_path / "cluster.toml"
    path.write_text(FILE)
    shown = srbuild("cluster", "show", path, "n1").out
    assert f"  uuid = {UUID}\n  serial = CZ 123/4\n" in shown
    (node,) = srbuild("cluster", "show", path, "n2", "--json").document["nodes"]
    assert (node["uuid"], node["serial"], node["asset_tag"]) == (None, None, "Room 7")
    table = srbuild("cluster", "render", "n2", path, "/etc/srbuild/machines").out
    assert table == f"n1 uuid {UUID}\nn1 serial cz 123/4\nn2 asset_tag room 7\n"


@given(st.uuids())
def test_a_swap_undoes_itself(uuid: object) -> None:
    text = str(uuid)
    assert swap_uuid(swap_uuid(text)) == text
    assert swap_uuid(text)[18:] == text[18:]


@given(st.text(max_size=70))
def test_any_text_is_taken_or_refused(text: str) -> None:
    for parse in (parse_uuid, parse_serial):
        try:
            found = parse(text)
        except ValueError:
            continue
        assert parse(found) == found
        assert found.isascii()
        assert "\n" not in found
