"""Host and agent on one serial port: the real agent.sh behind a pseudo-terminal."""

from __future__ import annotations

import os
import pty
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from srbuild.errors import VerifyError
from srbuild.lab.qemu import Vm
from srbuild.lab.server import Agent
from srbuild.paths import data_dir

AGENT = data_dir() / "modules/base/lab/agent.sh"
SHELLS = [["dash"], ["busybox", "ash"]]


def pump(source: int, sink: int) -> None:
    try:
        while data := os.read(source, 4096):
            os.write(sink, data)
    except OSError:
        pass  # one of the two ends has been closed: the test is over


@contextmanager
def agent(tmp_path: Path, shell: list[str]) -> Iterator[Agent]:
    """The host's Agent, spoken to by the real agent.sh under `shell`."""
    jobs = tmp_path / "jobs"
    jobs.mkdir(exist_ok=True)
    control, terminal = pty.openpty()
    script = tmp_path / "agent.sh"
    text = AGENT.read_text()
    for name, value in (
        ("/dev/ttyS1", os.ttyname(terminal)),
        ("/lab/jobs", str(jobs)),
        ("/run/lab.output", str(tmp_path / "output")),
    ):
        assert name in text
        text = text.replace(name, value)
    script.write_text(text)
    path = tmp_path / "control"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen(1)
        vm = SimpleNamespace(
            control=path,
            alive=True,
            machine=SimpleNamespace(name="server"),
            fate=lambda: "was ended",
        )
        host = Agent(cast("Vm", vm))
        line, _ = server.accept()
    with subprocess.Popen([*shell, str(script)], stdout=subprocess.DEVNULL) as process:
        for source, sink in ((control, line.fileno()), (line.fileno(), control)):
            threading.Thread(target=pump, args=(source, sink), daemon=True).start()
        try:
            yield host
        finally:
            process.kill()
            host.close()
            line.close()
            os.close(control)
            os.close(terminal)


def job(tmp_path: Path, name: str, body: str) -> None:
    (tmp_path / "jobs").mkdir(exist_ok=True)
    (tmp_path / "jobs" / f"{name}.sh").write_text(body)


@pytest.fixture(params=SHELLS, ids=lambda shell: shell[-1])
def shell(request: pytest.FixtureRequest) -> list[str]:
    return cast("list[str]", request.param)


def test_jobs_get_their_words_and_give_lines_and_status(tmp_path: Path, shell: list[str]) -> None:
    job(tmp_path, "say", 'echo "$1 and $2"; echo oops >&2; exit 3\n')
    with agent(tmp_path, shell) as host:
        host.wait_ready(10)
        result = host.call("say", "a:b", "c", seconds=10)
    assert result.lines == ("a:b and c", "oops")
    assert result.status == 3


def test_jobs_run_one_after_the_other(tmp_path: Path, shell: list[str]) -> None:
    job(tmp_path, "say", 'echo "$1"\n')
    with agent(tmp_path, shell) as host:
        host.wait_ready(10)
        said = [host.require("say", word, seconds=10) for word in ("one", "two")]
    assert said == [("one",), ("two",)]


def test_a_job_stops_at_its_first_failing_command(tmp_path: Path, shell: list[str]) -> None:
    job(tmp_path, "stop", "echo before; false; echo after\n")
    with agent(tmp_path, shell) as host:
        host.wait_ready(10)
        with pytest.raises(VerifyError, match=r"job stop ended with status 1:\n  before$"):
            host.require("stop", seconds=10)


@pytest.mark.parametrize("name", ["absent", "../etc/passwd"])
def test_a_job_that_is_none_fails(tmp_path: Path, shell: list[str], name: str) -> None:
    with agent(tmp_path, shell) as host:
        host.wait_ready(10)
        assert host.call(name, seconds=10).status != 0


def test_a_job_that_takes_too_long_is_told(tmp_path: Path, shell: list[str]) -> None:
    pid = tmp_path / "pid"
    job(tmp_path, "hang", f"echo $$ >'{pid}'\nexec tail -f /dev/null\n")
    try:
        with agent(tmp_path, shell) as host:
            host.wait_ready(10)
            begin = time.monotonic()
            with pytest.raises(VerifyError, match="the job hang's end did not come in time"):
                host.call("hang", seconds=1)
            assert time.monotonic() - begin < 5
    finally:  # the agent's timeout, which ends it on the lab's server, outlives the agent here
        os.kill(int(pid.read_text()), signal.SIGKILL)


@pytest.mark.parametrize("words", [("two words",), ("line\nend",), ("",), ("1", "2", "3", "4")])
def test_what_the_line_cannot_carry_is_refused(tmp_path: Path, words: tuple[str, ...]) -> None:
    with agent(tmp_path, SHELLS[0]) as host, pytest.raises(ValueError, match="not sayable"):
        host.call("job", *words)
