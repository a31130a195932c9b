"""Running one command and measuring it and all its children."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

TIMEOUT = 900.0  # seconds: ten times what the slowest takes on a machine that does nothing else
SAMPLE = 0.005  # seconds between two looks at the memory
LAST_LINES = 15


class BenchError(Exception):
    """Something could not be measured; the text says what and what to do about it."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One run: wall time and user+sys of the whole process tree, both in seconds."""

    wall: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Memory:
    """The peaks of one run in bytes.

    `largest` is what the largest process had resident, `together` what all that ran at one
    time had, shared pages counted once (the sum of their proportional set sizes).
    """

    largest: int
    together: int


@dataclass(frozen=True, slots=True)
class Command:
    """What to run: an argument list, a folder to be in, variables beside the plain ones.

    `root` is where the programs that it starts find /proc.
    """

    argv: tuple[str, ...]
    cwd: Path | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    root: Path = Path("/")


def run(command: Command, log: Path) -> Sample:
    """Run `command` to its end, its output in the file `log`.

    Raises BenchError when it fails or takes longer than TIMEOUT.
    """
    return _run(command, log, lambda fd, _pid: bool(select.select([fd], [], [], TIMEOUT)[0]))


def run_sampled(command: Command, log: Path) -> Memory:
    """Run `command` and look at its processes' memory every SAMPLE seconds. Not for timing.

    (What `wait4` says of memory begins with what this program had when it forked.)
    Raises BenchError as `run`.
    """
    largest = together = 0

    def watch(fd: int, pid: int) -> bool:
        nonlocal largest, together
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            if select.select([fd], [], [], SAMPLE)[0]:
                return True
            processes = _session(pid)
            largest = max(largest, *(_memory(one, "status", "VmHWM:") for one in processes), 0)
            together = max(together, sum(_memory(one, "smaps_rollup", "Pss:") for one in processes))
        return False

    _run(command, log, watch)
    return Memory(largest, together)


def count_processes(command: Command, log: Path) -> int:
    """Run `command` and count the processes and threads that it started, itself included.

    The command runs in a namespace of its own, which numbers them one by one: what runs next
    there has the next number. Needs root. Raises BenchError as `run`.
    """
    number = log.with_name(f"{log.name}.number")
    script = '"$@"; status=$?; sh -c \'echo $$\' >"$0"; exit "$status"'
    namespace = ("unshare", "--mount", "--pid", "--fork", "--kill-child")
    argv = (f"--mount-proc={command.root / 'proc'}", "sh", "-c", script, str(number))
    run(replace(command, argv=(*namespace, *argv, *command.argv)), log)
    return int(number.read_text()) - 2  # the script is number 1, the command began with 2


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """A plain environment, the same for every tool."""
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {"PATH": path, "LC_ALL": "C.UTF-8", **extra}


def check(argv: Sequence[str | Path], *, cwd: Path | None = None, timeout: float = 60.0) -> str:
    """Run a helper that is not measured; its standard output. Raises BenchError."""
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(
            words, cwd=cwd, capture_output=True, text=True, check=False, timeout=timeout
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BenchError(f"{words[0]}: {error}") from error
    if done.returncode:
        raise BenchError(f"{' '.join(words)}: status {done.returncode}\n{_tail(done.stderr)}")
    return done.stdout


def _run(command: Command, log: Path, ended: Callable[[int, int], bool]) -> Sample:
    """Run `command`; `ended(pidfd, pid)` waits for it and tells whether it ended in time."""
    with log.open("wb") as output:
        began = time.monotonic()
        process = subprocess.Popen(
            command.argv,
            cwd=command.cwd,
            env=environment(command.env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    pidfd = os.pidfd_open(process.pid)
    in_time = False
    try:
        in_time = ended(pidfd, process.pid)
    finally:
        os.close(pidfd)
        if not in_time:
            os.killpg(process.pid, signal.SIGKILL)
    # wait4 tells what the process and all the children that it waited for have used.
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode or not in_time:
        how = f"status {process.returncode}" if in_time else f"not done after {TIMEOUT:g} s"
        told = _tail(log.read_text(errors="replace"))
        raise BenchError(f"{' '.join(command.argv)}: {how}\n{told}")
    return Sample(wall, usage.ru_utime + usage.ru_stime)


def _session(leader: int) -> list[int]:
    """The processes in the session that `leader` began."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                stat = Path("/proc", name, "stat").read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended meanwhile
            if int(stat.rpartition(b")")[2].split()[3]) == leader:
                found.append(int(name))
    return found


def _memory(pid: int, file: str, key: str) -> int:
    """A line of a process's /proc files that counts kB, in bytes; 0 when it ended meanwhile."""
    try:
        lines = Path("/proc", str(pid), file).read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    sizes = (line.split()[1] for line in lines if line.startswith(key))
    return int(next(sizes, "0")) * 1024


def _tail(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.strip().splitlines()[-LAST_LINES:])
