"""iSCSI by itself: mutual CHAP, discovery, a bad target beside a good one, a portal lost."""

from __future__ import annotations

import time
from collections.abc import Callable

from srbuild.lab.cluster import N1, cluster_text
from srbuild.lab.lab import MAKER, Lab
from srbuild.lab.proof import check_shared_root
from srbuild.lab.qemu import Disk
from srbuild.lab.scenario import Scenario
from srbuild.lab.scenarios import multipath
from srbuild.lab.server import Agent
from srbuild.lab.steps import held, leave

PORTAL = "10.9.0.1:3260"
TARGET = multipath.TARGET
NO_TARGET = "iqn.2026-01.lab:none"
USER, SECRET = "labuser", "labsecret1234"
USER_IN, SECRET_IN = "labtarget", "targetsecret9"
BOOT = 200  # seconds from start to power off of a node, on two slow cores
MUTUAL = f"""\
chap_user = "{USER}"
chap_secret = "{SECRET}"
chap_user_in = "{USER_IN}"
chap_secret_in = "{SECRET_IN}"
"""
NO_WAY = '"10.9.0.77:3260"'  # nobody has this address


def cluster_file(block: str) -> str:
    """A cluster file whose [block] has the lines `block`."""
    return cluster_text(f'[block]\ntype = "iscsi"\n{block}[fs]\ntype = "ext4"\n', (N1,))


def serve(lab: Lab, more: str = "", targets: tuple[str, ...] = (TARGET,)) -> Agent:
    """A storage server with these targets; `more` goes into their table."""
    names = ", ".join(f'"{name}"' for name in targets)
    table = f'[iscsi-target]\ndevice = "/dev/vda"\ntarget = [{names}]\n{more}'
    disk = lab.disk(multipath.DISK, multipath.MAKING)
    return lab.server(f"{MAKER}{table}", Disk(disk))


def boots(
    block: str,
    words: tuple[str, ...] = (),
    more: str = "",
    targets: tuple[str, ...] = (TARGET,),
    extra: str = "",
) -> Callable[[Lab], None]:
    """A run in which n1 boots, says `words`, and leaves its root clean."""

    def run(lab: Lab) -> None:
        server = serve(lab, more, targets)
        with lab.step("n1 boots and powers off"):
            node = lab.start(N1, cluster_file(block), (), extra)
            lab.wait_power_off([node], BOOT)
        for word in words:
            lab.expect(word.encode() in node.text(), f"{word!r} on the console of n1")
        check_shared_root(lab, server, "check-local", {"n1": ()})

    return run


def impostor(lab: Lab) -> None:
    """A target that knows another secret than the one it must prove is refused."""
    serve(lab, MUTUAL)
    with lab.step("n1 boots, the target can't prove itself, and n1 stops at storage"):
        block = static() + MUTUAL.replace(SECRET_IN, "anothersecret")
        node = lab.start(N1, cluster_file(block), ())
        lab.wait_failure(node, 150, "storage", TARGET, "hint")


def portal_lost(lab: Lab) -> None:
    """The cable is out for longer than the ping's patience: reads wait, and go on."""
    server = serve(lab)
    vm, agent = held(lab, cluster_file(static()))
    with lab.step("the portal goes away; iscsid finds the session dead"):
        vm.set_link(0, up=False)
        vm.wait_text("ping timeout", lab.left(60))
    with lab.step("the portal is back; iscsid logs in again and the root is written to"):
        vm.set_link(0, up=True)
        begin = time.monotonic()
        agent.require("write-root", "back", seconds=lab.left(90))
        lab.proof["seconds"] = {"back": round(time.monotonic() - begin, 1)}
    leave(lab, vm, agent)
    check_shared_root(lab, server, "check-local", {"n1": ()})


def static(portals: str = f'"{PORTAL}"', targets: str = f'"{TARGET}"') -> str:
    """The lines that name portals and targets."""
    return f"portal = [{portals}]\ntarget = [{targets}]\n"


def _scenario(suffix: str, summary: str, run: Callable[[Lab], None]) -> Scenario:
    return Scenario(f"iscsi{suffix}", summary, "ext4", "iscsi", ("lab-local", "iscsi-target"), run)


SCENARIOS = (
    _scenario(
        "-mutual-chap",
        "node and target prove themselves to each other",
        boots(static() + MUTUAL, more=MUTUAL),
    ),
    _scenario("-impostor", "a target that can't prove itself is refused", impostor),
    _scenario(
        "-bad-target",
        "a target that is not there and a portal nobody has do not stop the good ones",
        boots(
            static(f'{NO_WAY}, "{PORTAL}"', f'"{TARGET}", "{NO_TARGET}"'),
            ("going on without 1 of 2 targets", f"logged in to {TARGET} via {PORTAL}"),
        ),
    ),
    _scenario(
        "-discovery",
        "the portal says what targets it has; checksums over headers and data",
        boots(
            f'portal = ["{PORTAL}"]\ndiscovery = "sendtargets"\n'
            'header_digest = "crc32c"\ndata_digest = "crc32c"\n'
        ),
    ),
    _scenario(
        "-rootsource",
        "the kernel parameters of OSR name portal and initiator",
        boots(
            "",
            # NAME before com-NAME, which is before the cluster file.
            extra=f"com-rootsource=iscsi://192.0.2.1/ com-nodename=n1 com-mountopts=nodiratime "
            f"rootsource=iscsi://{PORTAL}/iqn.2026-01.lab:other",
        ),
    ),
    _scenario("-portal-lost", "a portal goes away after the boot and comes back", portal_lost),
)
