"""The lab's machines: a storage server, nodes, the links between them, and their disks.

A `Lab` is one run. Its methods start machines and wait for what they do, always with a
deadline; what should be and is not raises VerifyError.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from srbuild.errors import VerifyError
from srbuild.frozen import frozen
from srbuild.lab.console import last_words
from srbuild.lab.disk import READY_S, DiskSpec, cached_disk, copy_sparse, write_lab_archive
from srbuild.lab.fencing import FenceDesk, Policy
from srbuild.lab.hub import Hub
from srbuild.lab.qemu import (
    BOARDS,
    Disk,
    Ending,
    Machine,
    Nic,
    Vm,
    join_initrds,
    kernel_machine,
    wait_until,
)
from srbuild.lab.server import Agent
from srbuild.lab.tree import cached_tree
from srbuild.paths import HostPath

LAN = "lan"  # the link that every machine's first card is on
SERVER_MAC = "52:54:00:09:00:01"
MAKER = f"""\
name = "lab-server"
[[node]]
name = "server"
id = 1
mac = ["{SERVER_MAC}"]
address = "10.9.0.1/24"
"""
"""The cluster file of a server that only makes and checks disks."""

MEMORY = 768  # MiB of each machine
CMDLINE = "loglevel=4 panic=1"
"""Only what the image says: no kernel chatter, and a panic ends the machine."""

_TREE = "lab.tree=/dev/vdb"  # where lab/jobs/fill-root.sh finds the archive to fill a disk with


@frozen
class Inputs:
    """What a run needs from outside.

    `image` is under test, `server_image` the storage server's; `node_tail` and `server_tail`
    make the archive that follows each, with a cluster's own files, from a cluster file's text,
    as a PXE server would hand it out. `folder` receives the logs, `cache` the disks that later
    runs use again. `seconds` bound the whole run.
    """

    image: HostPath
    kernel: HostPath
    server_image: HostPath
    node_tail: Callable[[str], bytes]
    server_tail: Callable[[str], bytes]
    folder: HostPath
    cache: HostPath
    seconds: float = 600
    accel: str = "tcg"


@frozen
class Step:
    """One thing that a scenario did, and how long it took, in seconds."""

    what: str
    seconds: float


@frozen
class NodeSpec:
    """A node of the lab's cluster: its name, and the MAC address of its card on the LAN.

    `more` are further cards, each a MAC address and the name of the link that it is on;
    `memory` in MiB; `devices` are further arguments of QEMU's, and `loader` has the last word
    on how the machine is started.
    """

    name: str
    mac: str
    more: tuple[tuple[str, str], ...] = ()
    memory: int = MEMORY
    devices: tuple[str, ...] = ()
    loader: Callable[[Machine], Machine] = lambda machine: machine

    @property
    def cards(self) -> tuple[tuple[str, str], ...]:
        """All its cards, in the order in which the machine has them."""
        return ((self.mac, LAN), *self.more)


SERVER = NodeSpec("server", SERVER_MAC)


class Lab:
    """The machines of one run; a context manager that ends them all on the way out."""

    def __init__(self, inputs: Inputs, tell: Callable[[str], None]) -> None:
        self.inputs = inputs
        self.steps: list[Step] = []
        self.logs: dict[str, str] = {}
        self.proof: dict[str, object] = {}
        self.tokens: dict[str, str] = {}
        self._tell = tell
        self._begin = time.monotonic()
        self._unpaid = 0.0
        self._links: dict[str, Hub] = {}
        self._desk: FenceDesk | None = None
        self._stack = ExitStack()
        self._work = Path()

    def __enter__(self) -> Self:
        self.inputs.folder.mkdir(parents=True, exist_ok=True)
        self._work = Path(tempfile.mkdtemp(prefix="srbuild-lab-"))
        self._stack.callback(shutil.rmtree, self._work, ignore_errors=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._begin

    def left(self, seconds: float) -> float:
        """`seconds`, or what is left of the whole run's time when that is less."""
        return max(0.0, min(seconds, self.inputs.seconds + self._unpaid - self.seconds))

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Tell and time one step."""
        self._tell(f"[{self.seconds:5.1f} s] {what}")
        begin = time.monotonic()
        try:
            yield
        finally:
            self.steps.append(Step(what, time.monotonic() - begin))

    def link(self, name: str) -> Hub:
        """The link of that name, the same for all machines of this run."""
        if name not in self._links:
            qemu = f"qemu-system-{kernel_machine(self.inputs.kernel)}"
            hub = Hub(qemu, self._work / f"link{len(self._links)}")
            self._links[name] = self._stack.enter_context(hub)
        return self._links[name]

    def fencing(self, policy: Policy) -> FenceDesk:
        """Give every node that is started from now on a fence device, ruled by `policy`.

        The image needs the boot module `fence-lab`. A node that a peer has turned off is gone
        as by a power cut before the peer hears of it.
        """
        self._desk = FenceDesk(policy)
        self._stack.callback(self._desk.close)
        return self._desk

    # --- disks --------------------------------------------------------------------------------

    def disk(self, spec: DiskSpec, cluster: str = MAKER) -> HostPath:
        """The finished disk that `spec` describes: to be read, or written through an overlay.

        `cluster` is that of the server which makes it, when its image needs more than MAKER.
        """
        cache = self.inputs.cache
        begin = time.monotonic()
        with self.step("the shared disk"):
            initrd = self._server_initrd(cluster)
            if not spec.root:
                return cached_disk(
                    spec, initrd, cache, lambda disk: self._server(SERVER, "disk", initrd, (disk,))
                )
            tree = cached_tree(spec.root, kernel_machine(self.inputs.kernel), cache)
            made = cached_disk(
                spec,
                initrd,
                cache,
                lambda disk: self._server(SERVER, "disk", initrd, (disk, Disk(tree)), _TREE),
                tree.name,
            )
        # Filled once for many runs: a run's own time does not pay for it.
        self._unpaid += time.monotonic() - begin
        return made

    def own_disk(self, name: str, source: HostPath | None = None, mib: int = 0) -> HostPath:
        """A disk that lives as long as the run, whoever is restarted or killed in it.

        A copy of `source`, or blank and of `mib` MiB.
        """
        path = self._work / f"{name}.disk"
        if source is None:
            path.touch()
            os.truncate(path, mib << 20)
        else:
            copy_sparse(source, path)
        return path

    def own_file(self, name: str, data: bytes) -> HostPath:
        """A file with `data` in it that lives as long as the run."""
        path = self._work / name
        path.write_bytes(data)
        return path

    # --- machines -----------------------------------------------------------------------------

    def serve(self, spec: DiskSpec, cluster: str) -> Agent:
        """Start the storage server with a disk as `spec` says; its agent, ready for jobs.

        `cluster` is the text of a cluster file whose only node is the server. What is written
        to the disk during the run ends with the run.
        """
        return self.server(cluster, Disk(self.disk(spec, cluster)))

    def server(self, cluster: str, *disks: Disk, node: NodeSpec = SERVER) -> Agent:
        """Start a server with these disks, which it has as /dev/vda and so on."""
        with self.step(f"{node.name} boots"):
            initrd = self._server_initrd(cluster)
            _, agent = self._server(node, node.name, initrd, disks)
            agent.wait_ready(self.left(READY_S))
        return agent

    def _server_initrd(self, cluster: str) -> HostPath:
        parts = (
            self.inputs.server_image,
            self.own_file("server.tail", self.inputs.server_tail(cluster)),
            write_lab_archive(self._work / "lab.cpio"),
        )
        return join_initrds(parts, self._work / "server.initrd")

    def _server(
        self, node: NodeSpec, name: str, initrd: HostPath, disks: tuple[Disk, ...], extra: str = ""
    ) -> tuple[Vm, Agent]:
        vm = self.boot(node, name, initrd, f"{CMDLINE} {extra}".strip(), disks)
        return vm, self._connect(vm)

    def _connect(self, vm: Vm) -> Agent:
        agent = Agent(vm)
        self._stack.callback(agent.close)
        return agent

    def start(
        self,
        node: NodeSpec,
        cluster: str,
        peers: Sequence[str],
        extra: str = "",
        disks: tuple[Disk, ...] = (),
        *,
        jobs: bool = False,
    ) -> Vm:
        """Start a node with the image under test and the archive made of `cluster`.

        The node is to leave a token of its own on the shared root and to read those of
        `peers`; `extra` goes on its kernel command line. A failing boot does not open a shell
        but restarts, which ends the machine. A node that runs may be started again once it
        has ended; its console then goes to another file. With `jobs` the bootstrap has those
        of lab/jobs/.
        """
        parts = [self.inputs.image]
        parts.append(self.own_file(f"{node.name}.tail", self.inputs.node_tail(cluster)))
        if jobs:
            parts.append(write_lab_archive(self._work / "lab.cpio"))
        initrd = join_initrds(parts, self._work / f"{node.name}.initrd")
        self.tokens[node.name] = secrets.token_hex(16)
        words = (
            CMDLINE,
            "rd.shell=0 rd.srb.reboot_delay=1",
            f"lab.node={node.name}",
            f"lab.token={self.tokens[node.name]}",
            f"lab.peers={','.join(peers)}",
            extra,
        )
        return self.boot(node, node.name, initrd, " ".join(words).strip(), disks)

    def hold(
        self,
        node: NodeSpec,
        cluster: str,
        peers: Sequence[str],
        extra: str = "",
        disks: tuple[Disk, ...] = (),
    ) -> tuple[Vm, Agent]:
        """Start a node that, once it has read its peers' tokens, does what its agent is told.

        The jobs are those of lab/jobs/, run on the shared root; `leave` ends the node as a
        shutdown does. The agent is to be waited for: `agent.wait_ready`.
        """
        vm = self.start(node, cluster, peers, f"lab.hold=1 {extra}", disks)
        return vm, self._connect(vm)

    def manage(
        self,
        node: NodeSpec,
        cluster: str,
        peers: Sequence[str],
        extra: str = "",
        disks: tuple[Disk, ...] = (),
    ) -> tuple[Vm, Agent]:
        """Start a node whose bootstrap, beside a container, does what its agent is told.

        The image needs the boot module `lab`.
        """
        vm = self.start(node, cluster, peers, f"lab.agent=beside {extra}", disks, jobs=True)
        return vm, self._connect(vm)

    def boot(
        self, node: NodeSpec, name: str, initrd: HostPath, cmdline: str, disks: tuple[Disk, ...]
    ) -> Vm:
        """Start the machine `node`, called `name` or that with a number, with `initrd` as it is."""
        count = 2
        base = name
        while name in self.logs:
            name, count = f"{base}-{count}", count + 1
        arch = kernel_machine(self.inputs.kernel)
        if arch == "x86_64":
            # On a busy host its own test of the timer fails, which is a panic.
            cmdline += " no_timer_check"
        machine = Machine(
            name,
            self.inputs.kernel,
            initrd,
            f"console={BOARDS[arch][1]} {cmdline}",
            tuple(Nic(mac, self.link(link).port(mac)) for mac, link in node.cards),
            disks,
            node.memory,
            self.inputs.accel,
            arch,
            self._desk is not None and node is not SERVER,
            node.devices,
        )
        vm = self._stack.enter_context(Vm(node.loader(machine), self.inputs.folder, self._work))
        if machine.fence and self._desk:
            self._desk.add(vm)
        self.logs[name] = str(vm.serial)
        return vm

    def wait_power_off(self, vms: Sequence[Vm], seconds: float) -> None:
        """Wait until all `vms` have powered off; VerifyError as soon as one ends otherwise."""

        def ended() -> bool:
            gone = [vm for vm in vms if not vm.alive]
            for vm in gone:
                if vm.ending() is not Ending.POWER_OFF:
                    raise VerifyError(
                        f"{vm.machine.name} {vm.fate()} instead of powering off; "
                        f"it said last:\n{last_words(vm)}"
                    )
            return len(gone) == len(vms)

        names = " and ".join(vm.machine.name for vm in vms)
        try:
            wait_until(self.left(seconds), f"power off of {names}", ended)
        except VerifyError as error:
            words = "".join(f"\n{vm.machine.name}:\n{last_words(vm)}" for vm in vms if vm.alive)
            raise VerifyError(error.message + words) from error

    def wait_failure(self, vm: Vm, seconds: float, point: str, *words: str) -> None:
        """Wait until `vm`'s boot fails at `point`, its summary holding each of `words`."""
        try:
            ending = vm.wait_end(self.left(seconds))
        except VerifyError as error:
            raise VerifyError(f"{error.message}; it said last:\n{last_words(vm)}") from error
        said = last_words(vm)
        self.expect(ending is Ending.RESTART, f"{vm.machine.name} restarts, but it {vm.fate()}")
        for word in (f"the boot stopped at the point '{point}'", *words):
            self.expect(word in said, f"a summary with {word!r}; the console says:\n{said}")
        self.proof["summary"] = [line.removeprefix("  ") for line in said.splitlines()]

    @staticmethod
    def expect(holds: bool, what: str) -> None:
        """VerifyError with `what` should have been, unless it `holds`."""
        if not holds:
            raise VerifyError(f"expected: {what}")
