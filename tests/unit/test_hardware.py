"""The inventory of a machine's hardware: collected, written, read, and what it chooses."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from srbuild.cli.main import cli
from srbuild.errors import ConfigError, ErrorGroup, MissingInputError, Origin
from srbuild.hardware import (
    Card,
    Hardware,
    load_hardware,
    load_modaliases,
    parse_hardware,
    to_document,
    to_text,
)
from srbuild.host.hardware import collect_hardware
from srbuild.kernels.kmods import Wish, close_kmods
from support.kernels import VERSION, FakeKmod, depmod
from support.kmod_root import RECIPE, kernel, make_root, names, write

NIC = "pci:v00001AF4d00001041sv00001AF4sd00001041bc02sc00i00"
DISK = "pci:v00001AF4d00001042sv00001AF4sd00001042bc01sc80i00"
SUBTREE = "=drivers/net/ethernet"
HARDWARE = Hardware(
    (NIC, DISK),
    {"product": "Blade 5: big", "machine": "x86_64"},
    (Card("eth0", "52:54:00:00:00:01", "e1000"), Card("eth1", "52:54:00:00:00:02", "")),
)


@pytest.fixture
def sysfs(tmp_path: Path) -> Path:
    """A sysfs with two devices, one of them a network card; a bridge has no device."""
    sysfs = tmp_path / "sys"
    for slot, modalias in {"0:1": NIC, "0:2": DISK, "0:3": DISK}.items():
        write(sysfs / f"devices/pci/{slot}/modalias", f"{modalias}\n".encode())
    write(sysfs / "devices/pci/0:4/modalias", b"")
    write(sysfs / "devices/pci/0:5/modalias", b"acme\xff:1\n")
    card = sysfs / "devices/pci/0:1/net/eth0"
    write(card / "address", b"52:54:00:00:00:01\n")
    (card / "device").symlink_to("../..")
    (sysfs / "bus/acme-nic").mkdir(parents=True)
    (sysfs / "devices/pci/0:1/driver").symlink_to(sysfs / "bus/acme-nic")
    write(sysfs / "class/net/br0/address", b"0\n")
    (sysfs / "class/net/eth0").symlink_to(card)
    write(sysfs / "class/dmi/id/product_name", b"Blade \x07\xff5\n")
    return sysfs


def test_what_sysfs_shows_is_collected(sysfs: Path) -> None:
    found = collect_hardware(sysfs)
    assert found.modaliases == (NIC, DISK)
    assert found.cards == (Card("eth0", "52:54:00:00:00:01", "acme-nic"),)
    assert found.facts["product"] == "Blade \ufffd5"
    assert found.facts["machine"] == os.uname().machine


def test_a_machine_that_shows_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="no device with a modalias"):
        collect_hardware(tmp_path)


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_is_written_is_read_again(tmp_path: Path, form: str) -> None:
    text = to_text(HARDWARE) if form == "text" else json.dumps(to_document(HARDWARE))
    (tmp_path / "node.hw").write_text(text)
    assert load_hardware(tmp_path / "node.hw") == HARDWARE


def test_plain_modaliases_will_do() -> None:
    assert parse_hardware(f"\n{DISK}\r\n#\n# whatever\n  {NIC} \n{DISK}".encode()).modaliases == (
        NIC,
        DISK,
    )


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no modalias"),
        (b"# srbuild.hardware/1\n", "no modalias"),
        (b"pci\n", "line 1: 'pci' is no modalias"),
        (b"a:b\n\x1b[2J:x\n", "line 2"),
        (b"\xff\xfe", "no text"),
        (b"{", "damaged JSON"),
        (b'{"schema": "other"}', "not of the schema"),
        (b'{"schema": "srbuild.hardware/1"}', "must be a list"),
        (b'{"schema": "srbuild.hardware/1", "modaliases": [1], "facts": {}, "cards": []}', "[0]"),
        (b'{"schema": "srbuild.hardware/1", "modaliases": [], "facts": {}, "cards": [{}]}', "card"),
        (b'{"schema": "srbuild.hardware/1", "modaliases": [], "facts": {}, "cards": 1}', "card"),
    ],
)
def test_files_that_are_no_inventory(tmp_path: Path, data: bytes, reason: str) -> None:
    (tmp_path / "node.hw").write_bytes(data)
    with pytest.raises(ConfigError, match=r"node\.hw") as caught:
        load_hardware(tmp_path / "node.hw")
    assert reason in caught.value.message
    assert caught.value.exit_code == 3


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_are_an_inventory_or_a_value_error(data: bytes) -> None:
    try:
        found = parse_hardware(data)
    except ValueError:
        return
    assert parse_hardware(to_text(found).encode()).modaliases == found.modaliases


def test_several_files_add_up_and_all_errors_are_told(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(NIC)
    (tmp_path / "b").write_text(DISK)
    here = Origin("--modalias-from")
    assert load_modaliases([(tmp_path / "b", here), (tmp_path / "a", here)]) == (NIC, DISK)
    assert load_modaliases([]) is None
    with pytest.raises(ErrorGroup) as caught:
        load_modaliases([(tmp_path / "x", here), (tmp_path / "y", here)])
    assert len(caught.value.errors) == 2


# What it chooses


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_root(tmp_path / "root")


def narrowed(root: Path, *modaliases: str, wish: str = SUBTREE):
    wishes = [Wish(wish, RECIPE, optional=True, narrow=True)]
    return close_kmods(kernel(root), wishes, modaliases=modaliases)


def test_of_a_subtree_the_drivers_of_the_hardware_and_what_they_need(root: Path) -> None:
    whole, part = narrowed(root, NIC, wish="acme_nic"), narrowed(root, NIC, DISK)
    assert names(part) == names(whole)
    assert "plain" not in names(part)
    assert [file.name for file in part.firmware] == ["acme/nic.bin"]


def test_hardware_without_a_driver_there_is_told(root: Path) -> None:
    found = narrowed(root, DISK)
    assert (found.kmods, found.firmware, found.missing) == ((), (), ())
    assert found.notes == (
        f"no kmod of {SUBTREE} in kernel {VERSION} is for the inventoried hardware",
    )


def test_a_driver_elsewhere_in_the_tree_is_not_taken(root: Path) -> None:
    assert narrowed(root, NIC, wish="=fs").kmods == ()


def test_names_are_taken_whatever_the_hardware(root: Path) -> None:
    assert "plain" in names(narrowed(root, DISK, wish="plain"))


def test_a_newer_driver_of_dkms_is_found_for_the_hardware(root: Path) -> None:
    base = root / "lib/modules" / VERSION
    newer = FakeKmod("", [("alias", "pci:v00001AF4d00001041sv*sd*bc*sc*i*")])
    write(base / "updates/dkms/acme-nic.ko", newer.elf())
    depmod(root)
    (kmod,) = narrowed(root, NIC).kmods
    assert kmod.image == f"/usr/lib/modules/{VERSION}/updates/dkms/acme-nic.ko"


# The verb


def test_the_verb_prints_what_a_build_reads() -> None:
    text = CliRunner().invoke(cli, ["hardware"])
    document = CliRunner().invoke(cli, ["hardware", "--json"])
    assert (text.exit_code, document.exit_code) == (0, 0)
    found = parse_hardware(text.stdout.encode())
    assert found == parse_hardware(document.stdout.encode())
    assert found == collect_hardware()
    assert text.stdout == CliRunner().invoke(cli, ["hardware"]).stdout
