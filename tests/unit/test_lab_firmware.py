"""UEFI firmware: found by its descriptions, and what of a machine it starts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from srbuild.errors import ToolError
from srbuild.lab.firmware import Firmware, find_firmware, start_program, unified
from srbuild.lab.qemu import Machine, command
from support.ukify import make_ukify


def flash(name: str, arch: str = "x86_64", *features: str) -> dict[str, Any]:
    return {
        "interface-types": ["uefi"],
        "mapping": {
            "device": "flash",
            "executable": {"filename": f"/fw/{name}.code", "format": "raw"},
            "nvram-template": {"filename": f"/fw/{name}.vars", "format": "raw"},
        },
        "targets": [{"architecture": arch, "machines": ["pc-q35-*"]}],
        "features": list(features),
    }


def qcow2(name: str) -> dict[str, Any]:
    found = flash(name)
    found["mapping"]["executable"]["format"] = "qcow2"
    return found


BIOS = {
    "interface-types": ["bios"],
    "mapping": {"device": "memory", "filename": "/fw/bios.bin"},
    "targets": [{"architecture": "x86_64", "machines": ["*"]}],
    "features": [],
}


def describe(folder: Path, **descriptions: object) -> Path:
    folder.mkdir()
    for name, found in descriptions.items():
        (folder / f"{name}.json").write_text(json.dumps(found))
    return folder


def fitting(name: str) -> Firmware:
    return Firmware(Path(f"/fw/{name}.code"), Path(f"/fw/{name}.vars"))


def test_the_first_that_fits_is_taken(tmp_path: Path) -> None:
    folder = describe(
        tmp_path / "fw",
        a10=BIOS,
        a20=flash("secure", "x86_64", "secure-boot", "requires-smm"),
        a30=flash("arm", "aarch64"),
        a40=qcow2("qcow2"),
        a50=["no", "description"],
        a60=flash("plain"),
        a70=flash("later"),
    )
    assert find_firmware("x86_64", (folder,)) == fitting("plain")
    assert find_firmware("aarch64", (folder,)) == fitting("arm")


def test_the_administrators_description_hides_the_one_of_its_name(tmp_path: Path) -> None:
    own = describe(tmp_path / "etc", b=flash("own"))
    usual = describe(tmp_path / "usr", b=flash("usual"), c=flash("other"))
    assert find_firmware("x86_64", (own, usual)) == fitting("own")
    (own / "b.json").write_text("{}")
    assert find_firmware("x86_64", (own, usual)) == fitting("other")


def test_without_any_its_package_is_named(tmp_path: Path) -> None:
    folders = (describe(tmp_path / "fw", a=BIOS), tmp_path / "absent")
    with pytest.raises(ToolError, match="no UEFI firmware for x86_64") as caught:
        find_firmware("x86_64", folders)
    assert "apt-get install ovmf" in caught.value.hint
    assert f"{folders[0]} and {folders[1]}" in caught.value.hint


@pytest.mark.parametrize("text", ["{", "\udcff"])
def test_a_broken_description_is_named(tmp_path: Path, text: str) -> None:
    folder = describe(tmp_path / "fw", b=flash("plain"))
    (folder / "a.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ToolError, match=r"cannot make sense of .*/a\.json"):
        find_firmware("x86_64", (folder,))


@pytest.fixture
def firmware(tmp_path: Path) -> Firmware:
    (tmp_path / "code").write_bytes(b"code")
    (tmp_path / "vars").write_bytes(b"fresh")
    return Firmware(tmp_path / "code", tmp_path / "vars")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    (tmp_path / "vmlinuz").write_bytes(b"a kernel")
    (tmp_path / "n1.initrd").write_bytes(b"an initrd")
    return Machine("n1", tmp_path / "vmlinuz", tmp_path / "n1.initrd", "a=b", devices=("-x", "y"))


def test_the_firmware_alone_finds_the_program(
    firmware: Firmware, machine: Machine, tmp_path: Path
) -> None:
    (tmp_path / "p").write_bytes(b"program")
    made = start_program(machine, tmp_path / "p", firmware)
    args = list(command(made, Path("/s"), Path("/c")))
    assert not {"-kernel", "-initrd", "-append"} & set(args)
    assert args[args.index("-x") + 1] == "y"
    assert (tmp_path / "n1.esp/EFI/BOOT/BOOTX64.EFI").read_bytes() == b"program"
    assert any(f"fat:{tmp_path}/n1.esp" in arg and "readonly=on" in arg for arg in args)
    assert any(arg.endswith(f"unit=0,readonly=on,file={tmp_path}/code") for arg in args)
    assert not any("property=secure" in arg for arg in args)


def test_every_machine_has_variables_of_its_own(
    firmware: Firmware, machine: Machine, tmp_path: Path
) -> None:
    (tmp_path / "p").write_bytes(b"program")
    secure = Firmware(firmware.code, firmware.variables, secure=True)
    args = start_program(machine, tmp_path / "p", secure).devices
    own = tmp_path / "n1.variables"
    assert any(arg.endswith(f"unit=1,file={own}") for arg in args)
    assert "driver=cfi.pflash01,property=secure,value=on" in args
    own.write_bytes(b"changed")
    assert firmware.variables.read_bytes() == b"fresh"


def test_an_arm64_machine_looks_for_another_name(
    firmware: Firmware, machine: Machine, tmp_path: Path
) -> None:
    (tmp_path / "p").write_bytes(b"program")
    other = Machine("n1", machine.kernel, machine.initrd, "", arch="aarch64")
    start_program(other, tmp_path / "p", firmware)
    assert [path.name for path in (tmp_path / "n1.esp/EFI/BOOT").iterdir()] == ["BOOTAA64.EFI"]


def test_kernel_initrd_and_command_line_become_one_program(
    firmware: Firmware, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(make_ukify(tmp_path / "bin")))
    assert not unified("6.1.0", firmware)(machine).direct
    program = (tmp_path / "n1.esp/EFI/BOOT/BOOTX64.EFI").read_text()
    found = {name: bytes.fromhex(held) for name, held in json.loads(program).items()}
    wanted = {
        ".linux": b"a kernel",
        ".initrd": b"an initrd",
        ".cmdline": b"a=b",
        ".uname": b"6.1.0",
    }
    assert wanted.items() <= found.items()
