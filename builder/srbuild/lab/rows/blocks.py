"""The block devices that nodes share in the lab."""

from __future__ import annotations

from srbuild.lab.cluster import N1, N2
from srbuild.lab.disk import DiskSpec
from srbuild.lab.lab import MAKER, SERVER_MAC, Lab, NodeSpec
from srbuild.lab.qemu import Disk
from srbuild.lab.rows.row import Block, FileSystem, Late, Refusal, Storage
from srbuild.paths import HostPath

WWN = 0x5000C50000000001
SECRET = "labsecret1234"
WRONG_SECRET = "wrongsecret99"

# --- iSCSI: the kernel's target ---------------------------------------------------------------

PORTAL = "10.9.0.1:3260"
IQN = "iqn.2026-01.lab:root"
NO_IQN = "iqn.2026-01.lab:rot"
CHAP = f'chap_user = "labuser"\nchap_secret = "{SECRET}"\n'
ISCSI = Block(
    name="iscsi",
    table=f'portal = ["{PORTAL}"]\ntarget = "{IQN}"\n{CHAP}',
    refusals=(
        Refusal(
            "-wrong-secret",
            "a wrong CHAP secret stops the boot at storage",
            (IQN, "status", "hint"),
            swap=(SECRET, WRONG_SECRET),
        ),
        Refusal(
            "-wrong-target",
            "a target that the portal has not stops the boot at storage",
            (NO_IQN, PORTAL, "hint"),
            swap=(IQN, NO_IQN),
            lines="timeout = 15\n",
        ),
        Refusal(
            "-server-absent",
            "no portal: the boot stops after its deadline",
            (IQN, "could not be reached within 15 s"),
            lines="timeout = 15\n",
            served=False,
        ),
    ),
    cluster=f"""\
{MAKER}[iscsi-target]
device = "/dev/vda"
target = "{IQN}"
portal = "{PORTAL}"
{CHAP}""",
    tables='[network]\ngateway = "10.9.0.254"\n',
    own={
        node.name: f'[node.iscsi]\ninitiator = "iqn.2026-01.lab:{node.name}"\n' for node in (N1, N2)
    },
    server=("iscsi-target",),
    late=Late("could not be reached", "target-down", "target-up"),
)

# --- ATA over Ethernet: vblade ----------------------------------------------------------------

SLOT = "e1.2"


def aoe_server(more: str = "") -> str:
    """The AoE server's cluster file; `more` are further options of its [aoe-target]."""
    return f'{MAKER}[aoe-target]\ndevice = "/dev/vda"\ntarget = "{SLOT}"\n{more}'


AOE = Block(
    name="aoe",
    table=f'target = "{SLOT}"\n',
    refusals=(
        Refusal(
            "-wrong-slot",
            "a wrong slot stops the boot at storage",
            ("e1.3", f"others answered: {SLOT}"),
            extra="netroot=aoe:eth0:e1.3 rd.srb.aoe.timeout=8",
        ),
        Refusal(
            "-server-absent",
            "no target answers: the boot stops after its deadline",
            (SLOT, "within 15 s", "no AoE target answered at all"),
            lines="timeout = 15\n",
            served=False,
        ),
    ),
    cluster=aoe_server(),
    server=("aoe-target",),
    late=Late("waiting for the AoE disk", "aoe-down", "aoe-up"),
)

# --- Fibre Channel: FCoE (VN2VN) against the kernel's target ----------------------------------


def wwpn(mac: str) -> str:
    """The name of the FCoE port on the card with that MAC address."""
    return f"20:00:{mac}"


def fc_server(*initiators: NodeSpec, interface: str = "eth0") -> str:
    """The FC server's cluster file, which lets the ports on these nodes' last cards in."""
    names = ", ".join(f'"{wwpn(node.cards[-1][0])}"' for node in initiators)
    return f"""\
{MAKER}{fcoe(interface)}[fcoe-target]
device = "/dev/vda"
initiator = [{names}]
"""


def fcoe(interface: str = "eth0", mode: str = "vn2vn") -> str:
    """The table of the FCoE port."""
    return f'[fcoe]\nmode = "{mode}"\ninterface = ["{interface}"]\n'


PORT = wwpn(SERVER_MAC)
NO_PORT = "20:00:52:54:00:0f:0f:0f"


def shown(*names: str) -> tuple[str, ...]:
    """WWPNs as the kernel shows them."""
    return tuple(f"0x{name.replace(':', '')}" for name in names)


FC = Block(
    name="fc",
    table=f'wwpn = ["{PORT}"]\nlun = 0\n',
    refusals=(
        Refusal(
            "-wrong-wwpn",
            "a wrong WWPN stops the boot at storage",
            (*shown(NO_PORT, PORT, wwpn(N1.mac)), "zone", "FCP Target"),
            swap=(PORT, NO_PORT),
            lines="timeout = 10\n",
        ),
        Refusal(
            "-wrong-lun",
            "a unit that is not there stops the boot at storage",
            ("unit 7", "sda", "LUN masking"),
            extra="rd.srb.fc.lun=7 rd.srb.fc.timeout=15",
        ),
        Refusal(
            "-server-absent",
            "no port but the node's own: the boot stops after its deadline",
            ("the target's port was not found", *shown(PORT, wwpn(N1.mac))),
            lines="timeout = 15\n",
            served=False,
        ),
    ),
    cluster=fc_server(N1, N2),
    tables=fcoe(),
    modules=("fcoe",),
    server=("fcoe-target",),
    late=Late(r"waiting for the target.s port", "link-down", "link-up"),
)

# --- DRBD: two disks, a mirror ----------------------------------------------------------------


def mirror(lab: Lab, fs: FileSystem) -> Storage:
    """Two disks that are one mirror's sides, with the same data: n1's SCSI, n2's virtio."""
    made = lab.disk(DiskSpec(fs.disk.size, "make-mirror", (fs.tools, ",".join(fs.words))))
    return sides(lab, fs, made)


def sides(lab: Lab, fs: FileSystem, made: HostPath | None = None) -> Storage:
    """Two disks that are copies of `made`, or blank."""
    paths = [lab.own_disk(node.name, made, fs.disk.size) for node in (N1, N2)]
    first = Disk(paths[0], keep=True, serial="N1", wwn=WWN)
    return Storage(lab, fs, own={"n1": first, "n2": Disk(paths[1], keep=True)})


DRBD = Block(
    name="drbd",
    table=f'shared_secret = "{SECRET}"\n',
    refusals=(
        Refusal(
            "-server-absent",
            "no peer to mirror with: the boot stops after its deadline",
            ("n2 did not come to mirror r0 within 15 s",),
            lines="timeout = 15\n",
        ),
    ),
    storage=mirror,
    own={
        "n1": f'[node.drbd]\ndisk = "WWN=0x{WWN:x}"\n',
        "n2": '[node.drbd]\ndisk = "/dev/vda"\n',
    },
    server=("lab-drbd",),
)

# --- SCSI: one bus ----------------------------------------------------------------------------

NO_WWN = 0x5000C5000000FFFF


def bus(lab: Lab, fs: FileSystem) -> Storage:
    """One disk that both nodes have, as on one bus."""
    path = lab.own_disk("root", lab.disk(fs.disk))
    disk = Disk(path, keep=True, serial="ROOT", wwn=WWN)
    return Storage(lab, fs, own={"n1": disk, "n2": disk})


SCSI = Block(
    name="scsi",
    table=f'device = "WWN=0x{WWN:x}"\n',
    refusals=(
        Refusal(
            "-no-disk",
            "a disk that is not there is named at storage",
            (f"WWN=0x{NO_WWN:x}", "the disks that are here"),
            swap=(f"{WWN:x}", f"{NO_WWN:x}"),
            lines="timeout = 15\n",
        ),
        Refusal(
            "-server-absent",
            "no disk at all: the boot stops after its deadline",
            (f"no disk is WWN=0x{WWN:x}", "15 s"),
            lines="timeout = 15\n",
            served=False,
        ),
    ),
    storage=bus,
)

BLOCKS = (ISCSI, AOE, FC, DRBD, SCSI)
