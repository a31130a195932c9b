"""The lab's storage server: a VM whose agent runs jobs that the host asks for.

The agent (boot module `lab`) and the host speak lines over the machine's second serial port:

    agent:  ready                   once, and again whenever the host says `hello`
    host:   ID JOB [WORD [WORD [WORD]]]
    agent:  ID > one line of the job's output
    agent:  ID = the job's exit status

Jobs are the scripts in lab/jobs/, handed over in the archive after the server's image.
"""

from __future__ import annotations

import socket
import time

from srbuild.errors import VerifyError
from srbuild.frozen import frozen
from srbuild.lab.qemu import POLL_S, Vm


@frozen
class JobResult:
    """What a job said, line by line, and its exit status."""

    lines: tuple[str, ...]
    status: int


class Agent:
    """The host's end of the agent's serial port."""

    def __init__(self, vm: Vm) -> None:
        self._vm = vm
        self._count = 0
        self._buffer = b""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(str(vm.control))
        self._socket.settimeout(POLL_S)

    def close(self) -> None:
        """Let go of the serial port."""
        self._socket.close()

    def wait_ready(self, seconds: float) -> None:
        """Wait for the agent's `ready`; VerifyError after `seconds` or when the VM ends."""
        deadline = time.monotonic() + seconds
        while self._line(deadline, "the lab agent's ready") != "ready":
            pass

    def call(self, job: str, *words: str, seconds: float = 120) -> JobResult:
        """Run `job` with up to three `words` on the server and return what it gave.

        VerifyError when there is no end to it within `seconds`. A job that fails is no error
        here: see `JobResult.status`.
        """
        if len(words) > 3 or any(not w or set(w) & set(" \t\n\\") for w in (job, *words)):
            raise ValueError(f"not sayable to the lab agent: {(job, *words)!r}")
        self._count += 1
        tag = str(self._count)
        self._socket.sendall((" ".join((tag, job, *words)) + "\n").encode())
        deadline = time.monotonic() + seconds
        lines: list[str] = []
        while True:
            line = self._line(deadline, f"the job {job}'s end")
            if line.startswith(f"{tag} > "):
                lines.append(line.removeprefix(f"{tag} > "))
            elif line.startswith(f"{tag} = "):
                return JobResult(tuple(lines), int(line.removeprefix(f"{tag} = ")))

    def require(self, job: str, *words: str, seconds: float = 120) -> tuple[str, ...]:
        """Like `call`, but VerifyError with the job's words when it fails; returns its lines."""
        result = self.call(job, *words, seconds=seconds)
        if result.status:
            said = "\n".join(f"  {line}" for line in result.lines[-20:])
            raise VerifyError(
                f"{self._vm.machine.name}: job {job} ended with status {result.status}:\n{said}"
            )
        return result.lines

    def _line(self, deadline: float, what: str) -> str:
        """The next line from the agent, without its end."""
        while b"\n" not in self._buffer:
            if time.monotonic() > deadline:
                raise VerifyError(f"{self._vm.machine.name}: {what} did not come in time")
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                continue
            if not data:
                raise VerifyError(f"{self._vm.machine.name} {self._vm.fate()} before {what}")
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line.decode("utf-8", "replace").rstrip("\r")
