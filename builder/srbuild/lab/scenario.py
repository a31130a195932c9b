"""The scenario engine: boot an image in a small network and prove what it did.

A `Scenario` is a name, a sentence and a function over a `Lab`; the files in `scenarios/`
hold them, and whatever stands there is known by name. A scenario starts machines, waits with
deadlines, and calls `Lab.expect` for what must hold; a VerifyError out of it is a scenario not
passed, any other error is trouble with the lab.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from srbuild.errors import UsageError, VerifyError
from srbuild.lab.disk import READY_S, DiskSpec, cached_disk, write_lab_archive
from srbuild.lab.qemu import (
    BOARDS,
    Disk,
    Ending,
    Link,
    Machine,
    Nic,
    Vm,
    join_initrds,
    kernel_machine,
    new_link,
    wait_until,
)
from srbuild.lab.server import Agent
from srbuild.paths import HostPath

SERVER_MAC = "52:54:00:09:00:01"
MEMORY = 768  # MiB of each machine
# Only what the image says: no kernel chatter, and a panic ends the machine.
_CMDLINE = "loglevel=4 panic=1"
_ESCAPES = re.compile(r"\x1b[\[c][0-9;?]*[A-Za-z]?")
_SUMMARY = re.compile(r"^={20,}\n(srbuild: the boot stopped .*?)^={20,}$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that a scenario did, and how long it took, in seconds."""

    what: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Result:
    """How a scenario went. `failure` is empty when it passed; `logs` maps machine to file."""

    scenario: str
    failure: str
    seconds: float
    steps: tuple[Step, ...]
    logs: Mapping[str, str]
    proof: Mapping[str, object]

    @property
    def passed(self) -> bool:
        """Whether everything that the scenario expects was so."""
        return not self.failure

    def as_json(self) -> dict[str, object]:
        """The result as `srbuild test --json` gives it."""
        return {
            "schema": "srbuild.test/1",
            "scenario": self.scenario,
            "passed": self.passed,
            "failure": self.failure,
            "seconds": round(self.seconds, 1),
            "steps": [{"what": s.what, "seconds": round(s.seconds, 1)} for s in self.steps],
            "logs": dict(self.logs),
            "proof": dict(self.proof),
        }


@dataclass(frozen=True, slots=True)
class Scenario:
    """A named run.

    `fs` and `blk` say which images it is for; `server` names the boot modules that the storage
    server's image has besides the recipe's own (images/lab-server.toml).
    """

    name: str
    summary: str
    fs: str
    blk: str
    server: tuple[str, ...]
    run: Callable[[Lab], None] = field(repr=False)


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """A node of the lab's cluster: its name and the MAC address of its only card."""

    name: str
    mac: str


class Lab:
    """The machines of one run; a context manager that ends them all on the way out."""

    def __init__(self, inputs: Inputs, tell: Callable[[str], None]) -> None:
        self.inputs = inputs
        self.link: Link = new_link()
        self.steps: list[Step] = []
        self.logs: dict[str, str] = {}
        self.proof: dict[str, object] = {}
        self.tokens: dict[str, str] = {}
        self._tell = tell
        self._begin = time.monotonic()
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
        return max(0.0, min(seconds, self.inputs.seconds - self.seconds))

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Tell and time one step."""
        self._tell(f"[{self.seconds:5.1f} s] {what}")
        begin = time.monotonic()
        try:
            yield
        finally:
            self.steps.append(Step(what, time.monotonic() - begin))

    def serve(self, spec: DiskSpec, cluster: str) -> Agent:
        """Start the storage server with a disk as `spec` says; its agent, ready for jobs.

        `cluster` is the text of a cluster file whose only node is the server. What is written
        to the disk during the run ends with the run.
        """
        parts = (
            self.inputs.server_image,
            self._tail("server", self.inputs.server_tail(cluster)),
            write_lab_archive(self._work / "lab.cpio"),
        )
        initrd = join_initrds(parts, self._work / "server.initrd")
        with self.step("the shared disk"):
            disk = cached_disk(
                spec, initrd, self.inputs.cache, lambda disk: self._server("disk", initrd, disk)
            )
        with self.step("the storage server boots"):
            _, agent = self._server("server", initrd, Disk(disk))
            agent.wait_ready(self.left(READY_S))
        return agent

    def _server(self, name: str, initrd: HostPath, disk: Disk) -> tuple[Vm, Agent]:
        nic = Nic(SERVER_MAC, self.link)
        vm = self._boot(name, initrd, _CMDLINE, nic, (disk,))
        agent = Agent(vm)
        self._stack.callback(agent.close)
        return vm, agent

    def _tail(self, name: str, data: bytes) -> HostPath:
        path = self._work / f"{name}.tail"
        path.write_bytes(data)
        return path

    def start(self, node: NodeSpec, cluster: str, peers: Sequence[str], extra: str = "") -> Vm:
        """Start a node with the image under test and the archive made of `cluster`.

        The node is to leave a token of its own on the shared root and to read those of
        `peers`; `extra` goes on its kernel command line. A failing boot does not open a shell
        but restarts, which ends the machine.
        """
        tail = self._tail(node.name, self.inputs.node_tail(cluster))
        initrd = join_initrds((self.inputs.image, tail), self._work / f"{node.name}.initrd")
        self.tokens[node.name] = secrets.token_hex(16)
        words = (
            _CMDLINE,
            "rd.shell=0 rd.srb.reboot_delay=1",
            f"lab.node={node.name}",
            f"lab.token={self.tokens[node.name]}",
            f"lab.peers={','.join(peers)}",
            extra,
        )
        nic = Nic(node.mac, self.link)
        return self._boot(node.name, initrd, " ".join(words).strip(), nic, ())

    def _boot(
        self, name: str, initrd: HostPath, cmdline: str, nic: Nic, disks: tuple[Disk, ...]
    ) -> Vm:
        arch = kernel_machine(self.inputs.kernel)
        machine = Machine(
            name,
            self.inputs.kernel,
            initrd,
            f"console={BOARDS[arch][1]} {cmdline}",
            (nic,),
            disks,
            MEMORY,
            self.inputs.accel,
            arch,
        )
        vm = self._stack.enter_context(Vm(machine, self.inputs.folder, self._work))
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


def console_text(vm: Vm) -> str:
    """All that `vm` said on its console, as text without carriage returns."""
    return vm.text().decode("utf-8", "replace").replace("\r", "")


def last_words(vm: Vm, lines: int = 30) -> str:
    """What a person should read of `vm`'s console: the spine's summary block, else its end.

    Indented, without the escape sequences of firmware and shells.
    """
    text = _ESCAPES.sub("", console_text(vm))
    blocks = _SUMMARY.findall(text)
    chosen = blocks[-1].splitlines() if blocks else text.splitlines()[-lines:]
    return "\n".join(f"  {line}" for line in chosen if line.strip())


def run_scenario(scenario: Scenario, inputs: Inputs, tell: Callable[[str], None]) -> Result:
    """Run `scenario` and say how it went; `tell` hears of its progress, line by line.

    A scenario that does not pass is a Result, not an error. Raises ToolError when QEMU can't be
    run, and whatever building the cluster's archive raises.
    """
    failure = ""
    with Lab(inputs, tell) as lab:
        try:
            scenario.run(lab)
        except VerifyError as error:
            failure = str(error)
    return Result(
        scenario.name, failure, lab.seconds, tuple(lab.steps), dict(lab.logs), dict(lab.proof)
    )


def load_scenarios() -> Mapping[str, Scenario]:
    """Every scenario by name: the `SCENARIOS` of each file in lab/scenarios/."""
    package = importlib.import_module("srbuild.lab.scenarios")
    found: dict[str, Scenario] = {}
    for info in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        for scenario in importlib.import_module(info.name).SCENARIOS:
            found[scenario.name] = scenario
    return dict(sorted(found.items()))


def find_scenario(name: str) -> Scenario:
    """The scenario called `name`; UsageError that lists them all when there is none."""
    scenarios = load_scenarios()
    if name not in scenarios:
        known = "".join(f"\n    {s.name:32} {s.summary}" for s in scenarios.values())
        raise UsageError(f"no scenario {name!r}", hint=f"one of:{known}")
    return scenarios[name]
