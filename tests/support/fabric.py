"""A Fibre Channel fabric in sysfs, for the boot scripts: adapters, ports and disks."""

from __future__ import annotations

from support.shells import Machine

OWN = "0x2000525400000001"
TARGET = "0x2000525400090001"
OTHER = "0x2000525400090002"
WWID = "naa.6001405fce0000000000000000000001"


def adapter(machine: Machine, number: int = 1, state: str = "Online", name: str = OWN) -> None:
    """An adapter."""
    folder = f"sys/class/fc_host/host{number}"
    machine.write(f"{folder}/port_name", f"{name}\n")
    machine.write(f"{folder}/port_state", f"{state}\n")
    machine.write(f"{folder}/symbolic_name", "an adapter\n")
    machine.write(f"sys/class/scsi_host/host{number}/scan", "")


def port(
    machine: Machine,
    rport: str = "rport-1:0-0",
    name: str = TARGET,
    roles: str = "FCP Target",
    state: str = "Online",
) -> None:
    """A port that an adapter sees."""
    folder = f"sys/class/fc_remote_ports/{rport}"
    machine.write(f"{folder}/port_name", f"{name}\n")
    machine.write(f"{folder}/roles", f"{roles}\n")
    machine.write(f"{folder}/port_state", f"{state}\n")
    machine.write(f"{folder}/scsi_target_id", "4\n")
    machine.write(f"{folder}/dev_loss_tmo", "60\n")
    (machine.root / folder / "device").mkdir(exist_ok=True)


def disk(
    machine: Machine,
    name: str,
    unit: int,
    rport: str = "rport-1:0-0",
    wwid: str = WWID,
    access: str = "",
) -> None:
    """A disk behind a port; `access` is the state of its path (ALUA)."""
    folder = f"sys/class/fc_remote_ports/{rport}/device/target1:0:4/1:0:4:{unit}"
    machine.write(f"{folder}/wwid", f"{wwid}\n")
    (machine.root / folder / "block" / name).mkdir(parents=True)
    if access:
        machine.write(f"sys/class/block/{name}/device/access_state", f"{access}\n")
    machine.write(f"dev/{name}", "")
