"""`python -m tests.bench.boot`: how long a boot takes, beside a minimal init made by hand.

One storage server, one kernel, the same address; srbuild's image and the hand-made one boot in
turn, so that what slows this machine down slows both. So does one of initramfs-tools, where
this is run as root; nothing else needs a privilege.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from srbuild import pipeline
from srbuild.config.load import load_config
from srbuild.errors import SrbuildError
from srbuild.lab.build import LabRequest, find_kernel, image_kernel, make_inputs
from srbuild.lab.lab import CMDLINE, Lab
from srbuild.lab.qemu import Vm
from srbuild.lab.scenario import Scenario
from srbuild.lab.scenarios import iscsi, nfs
from srbuild.lab.times import read_times

from . import bootpeer
from .bootpeer import Peer
from .byhand import Stack, write_image
from .figures import Bar, ratios, spread, table

PROJECT = Path(__file__).resolve().parents[2]
LIMIT = 1.5  # times the hand-made one
PEER_TREE = PROJECT / "build/bench-root"  # that of `make bench`
PATIENCE = 300  # seconds that one boot may take
OURS, BYHAND, PEER = "srbuild", "by hand", "initramfs-tools"

# As the machines of the lab have it: a virtio card on PCI.
MACHINE = ("virtio_pci", "virtio_net")
ISCSI = Stack(
    (*MACHINE, "iscsi_tcp", "sd_mod", "crc32c_generic", "ext4"),
    ("/sbin/iscsistart",),
    f"iscsistart -i iqn.2026-01.lab:hand -t {iscsi.TARGET} -g 1 -a 10.9.0.1 -p 3260\n"
    "until [ -b /dev/sda ]; do usleep 20000; done\n"
    "mount -t ext4 /dev/sda /sysroot",
)
NFS = Stack(
    (*MACHINE, "nfs", "nfsv4"),
    (),
    f"mount -t nfs4 -o vers=4.2,addr=10.9.0.1 10.9.0.1:{nfs.EXPORT} /sysroot",
)
# As Debian's own scripts take them; the hand-made one checks no file system either (fastboot).
_PEER_ADDRESS = "ip=10.9.0.21::10.9.0.1:255.255.255.0:n1:eth0:off net.ifnames=0 fastboot"
PEERS = {
    "iscsi": Peer(
        ISCSI.kmods,
        f"root=/dev/sda rootfstype=ext4 rw {_PEER_ADDRESS} ISCSI_INITIATOR=iqn.2026-01.lab:hand "
        f"ISCSI_TARGET_NAME={iscsi.TARGET} ISCSI_TARGET_IP=10.9.0.1 ISCSI_TARGET_PORT=3260 "
        "ISCSI_TARGET_GROUP=1",
    ),
    "nfs": Peer(
        (*MACHINE, "nfs", "nfsv3"),
        f"boot=nfs root=/dev/nfs nfsroot=10.9.0.1:{nfs.EXPORT} rw {_PEER_ADDRESS}",
    ),
}
_HAND = re.compile(r"bench: init at ([\d.]+), root mounted at ([\d.]+)")
_LOG = re.compile(r"\[ *([\d.]+)\] (?:.*npack.* initramfs|(Freeing initrd))")


@dataclass(frozen=True, slots=True)
class Boot:
    """One boot, in seconds: until /init began, unpacking (a part of that), then to the root."""

    kernel: float
    unpacking: float
    init: float
    points: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Row:
    """What is compared: srbuild's image for `fs` and `blk` with the cluster file `cluster`, and
    the hand-made `stack`, against a server with the modules `server`, started by `serve`.
    `extra` goes on the kernel command line of srbuild's.
    """

    fs: str
    blk: str
    server: tuple[str, ...]
    serve: Callable[[Lab], object]
    cluster: str
    stack: Stack
    extra: str = ""

    @property
    def scenario(self) -> Scenario:
        """What the lab builds its server's image from."""
        return Scenario("bench", "a boot is timed", self.fs, self.blk, self.server, self._run)

    def _run(self, lab: Lab) -> None:
        self.serve(lab)


ROWS = {
    "iscsi": Row(
        "ext4",
        "iscsi",
        ("lab-local", "iscsi-target"),
        iscsi.serve,
        iscsi.cluster_file(iscsi.static()),
        ISCSI,
        "rd.srb.ext4.check=never",  # the other side does not check its file system either
    ),
    "nfs": Row("nfs", "", ("lab-export", "nfs-server"), nfs.serve, nfs.cluster_file(), NFS),
}


def main() -> int:
    """Measure; the status is 0 whether the bar is met or not, 1 when nothing was measured."""
    parser = argparse.ArgumentParser(
        prog="make bench-boot", description="Boot srbuild's image beside one made by hand."
    )
    parser.add_argument("-n", type=int, default=7, metavar="N", help="rounds (7)")
    parser.add_argument("--only", choices=sorted(ROWS), help="measure this root alone")
    parser.add_argument("--sysroot", type=Path, default=PROJECT / "build/sysroot", metavar="DIR")
    parser.add_argument(
        "--save", type=Path, default=PROJECT / "build/bench-boot.json", metavar="FILE"
    )
    options = parser.parse_args()
    document: dict[str, object] = {}
    try:
        for name, row in ROWS.items():
            if options.only not in (None, name):
                continue
            boots = run_row(row, options.sysroot.resolve(), options.n, PEERS[name])
            document[name] = {who: [asdict(one) for one in found] for who, found in boots.items()}
            print(f"{render(name, boots)}\n", flush=True)
    except SrbuildError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    load = os.getloadavg()[1]
    options.save.write_text(json.dumps(document, indent=1))
    print(f"load over the last 5 minutes {load:.1f}; all values: {options.save}")
    return 0


def run_row(row: Row, sysroot: Path, rounds: int, peer: Peer) -> dict[str, list[Boot]]:
    """Boot each image `rounds` times, in turn, against one server; the peer's where it can be."""
    scenario = row.scenario
    image = PROJECT / "build" / f"{scenario.image_name}.img"
    catalog = pipeline.find_modules()
    wanted = {**scenario.options, "sysroot": sysroot, "output": image}
    pipeline.build(load_config(wanted, {}, catalog), catalog)
    version = image_kernel(image)
    found: dict[str, list[Boot]] = {OURS: [], BYHAND: []}
    folder = PROJECT / "build/lab" / f"bench-{scenario.image_name}"
    seconds = PATIENCE * (3 * rounds + 2)
    absent = bootpeer.why_not(version, PEER_TREE)
    request = LabRequest(image, sysroot, find_kernel(sysroot, version), folder, seconds)
    environ = {**os.environ, "SRBUILD_CACHE": str(PROJECT / "build/cache")}
    with Lab(make_inputs(request, scenario, environ), _tell) as lab:
        hand = write_image(folder / "hand.img", sysroot, version, row.stack)
        images = [(BYHAND, hand, "")]
        if absent:
            _tell(f"{PEER} is not measured: {absent}")
        else:
            other = bootpeer.write_image(folder / "peer.img", PEER_TREE, version, peer)
            images.append((PEER, other, peer.words))
        row.serve(lab)
        for _ in range(rounds):
            for who, path, words in images:
                found.setdefault(who, []).append(_boot_other(lab, who, path, words))
            found[OURS].append(_boot_ours(lab, row))
    return found


def _boot_ours(lab: Lab, row: Row) -> Boot:
    with lab.step("srbuild's image boots"):
        vm = lab.start(iscsi.N1, row.cluster, (), row.extra)
        lab.wait_power_off([vm], PATIENCE)
    times = read_times(_text(vm))
    if times is None or times.init is None or times.unpacking is None:
        raise SrbuildError(f"no times on the console: {vm.serial}")
    return Boot(times.kernel, times.unpacking, times.init, times.points)


def _boot_other(lab: Lab, who: str, image: Path, words: str) -> Boot:
    with lab.step(f"the image of {who} boots"):
        vm = lab.boot(iscsi.N1, who.replace(" ", "-"), image, f"{CMDLINE} {words}", ())
        lab.wait_power_off([vm], PATIENCE)
    return read_by_hand(_text(vm))


def read_by_hand(console: str) -> Boot:
    """What another's init said; SrbuildError when it did not mount its root."""
    said = _HAND.search(console)
    if said is None or "bench: done" not in console:
        raise SrbuildError(f"the image did not mount its root:\n{console[-2000:]}")
    stamps = {bool(freed): float(at) for at, freed in _LOG.findall(console)}
    begin, end = float(said[1]), float(said[2])
    return Boot(begin, round(stamps[True] - stamps[False], 2), round(end - begin, 2), {})


def render(name: str, boots: Mapping[str, list[Boot]]) -> str:
    """Medians with quartiles, the points of srbuild's, and the bar."""
    rows = [
        (
            who,
            spread([one.kernel for one in found]).text(),
            spread([one.unpacking for one in found]).text(),
            spread([one.init for one in found]).text(),
        )
        for who, found in boots.items()
    ]
    count = len(boots[OURS])
    parts = [f"Boot over {name}, {count} rounds, seconds: median (quartiles)"]
    parts.append(table(("", "until init", "of it unpacking", "init to root"), rows))
    points = boots[OURS][0].points
    by_point = [(p, spread([one.points[p] for one in boots[OURS]]).text()) for p in points]
    parts.append(table(("point", "s"), by_point))
    bars = []
    for who, limit in ((BYHAND, LIMIT), (PEER, 1.0)):
        if who in boots:
            ratio = ratios([one.init for one in boots[OURS]], [one.init for one in boots[who]])
            bars.append(Bar(f"srbuild / {who}, init to root", ratio, limit).row())
    parts.append(table(("", "bar", "measured", ""), bars))
    return "\n\n".join(parts)


def _text(vm: Vm) -> str:
    return vm.text().decode("utf-8", "replace")


def _tell(line: str) -> None:
    print(f"  {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
