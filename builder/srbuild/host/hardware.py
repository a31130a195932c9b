"""Finding out, from sysfs, what hardware this machine has."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from pathlib import Path

from srbuild.errors import MissingInputError
from srbuild.hardware import Card, Hardware, is_modalias
from srbuild.paths import HostPath

SYSFS = Path("/sys")
# Fact → file below /sys. No serial numbers: they identify, and tell nothing about drivers.
_DMI = {"vendor": "sys_vendor", "product": "product_name", "version": "product_version"}
_DEVICE_TREE = "firmware/devicetree/base/model"


def collect_hardware(sysfs: HostPath = SYSFS) -> Hardware:
    """The devices below `sysfs`, those of the whole machine; needs no privilege.

    Raises MissingInputError when there are none to be seen.
    """
    modaliases = sorted(set(_modaliases(sysfs / "devices")))
    if not modaliases:
        raise MissingInputError(
            f"no device with a modalias below {sysfs}",
            hint="run it on the machine itself, where sysfs is mounted",
        )
    return Hardware(tuple(modaliases), _facts(sysfs), tuple(_cards(sysfs / "class/net")))


def _modaliases(devices: HostPath) -> Iterator[str]:
    for folder, _, names in os.walk(devices):
        if "modalias" in names and is_modalias(text := _read(Path(folder, "modalias"))):
            yield text


def _facts(sysfs: HostPath) -> dict[str, str]:
    places = {name: f"class/dmi/id/{file}" for name, file in _DMI.items()}
    found = {name: _read(sysfs / place) for name, place in places.items()}
    found["product"] = found["product"] or _read(sysfs / _DEVICE_TREE)
    found |= {"machine": platform.machine(), "kernel": platform.release()}
    return {name: value for name, value in found.items() if value}


def _cards(net: HostPath) -> Iterator[Card]:
    """The network cards with a device behind them: no bridges, tunnels, loopback."""
    for card in sorted(net.glob("*")):
        if (card / "device").exists():
            driver = card / "device" / "driver"
            name = os.path.basename(os.readlink(driver)) if driver.is_symlink() else ""
            yield Card(card.name, _read(card / "address"), name)


def _read(path: HostPath) -> str:
    """The first line of a file of sysfs, control characters left out; empty when unreadable."""
    try:
        lines = path.read_bytes().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return "".join(char for char in (lines or [""])[0] if char.isprintable()).strip()
