"""Making a node's files is done whole or not at all: killed at random, and by two at once."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from support.sharedroot import APPLY, PREPARE, Node, can_mount
from support.shells import Machine

pytestmark = pytest.mark.skipif(not can_mount(), reason="no mount namespaces here")
KILLS = 12


@pytest.fixture
def node(machine: Machine) -> Node:
    one = Node(machine)
    for number in range(30):
        (one.root / f"var/log/of-{number}").mkdir(parents=True)
        one.write(f"srv/conf/{number}", "x" * 5000)
    for folder in ("tmp", "var/cache", "etc"):
        (one.root / folder).mkdir()
    one.write("etc/hostname", "shared\n")
    one.write("etc/ssh/ssh_host_key", "key\n")
    return one


def start(node: Node, text: str = PREPARE) -> subprocess.Popen[str]:
    return subprocess.Popen(
        node.command(text), env=node.environment(add="/srv/conf"), start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> None:
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said


def kill(process: subprocess.Popen[str]) -> None:
    """Kill it with all of its session: timeout(1) gives what it runs a process group of its own."""
    while alive := [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc")))
                    if is_of(process.pid, pid)]:  # fmt: skip
        for pid in alive:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    process.communicate(timeout=60)


def is_of(session: int, pid: int) -> bool:
    """Whether the process `pid` is one of `session` and has not ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        stat = Path(f"/proc/{pid}/stat").read_text()
        state, _, _, sid, *_ = stat.rpartition(")")[2].split()
        return int(sid) == session and state not in {"Z", "X"}
    return False


def check_whole(own: Path) -> None:
    """What is there under its name is complete."""
    whole = {
        "etc/hostname": "n\\d\n",
        "etc/machine-id": "[0-9a-f]{32}\n",
        "etc/adjtime": "",
        "etc/ssh/ssh_host_key": "key\n",
    }
    for path, wanted in whole.items():
        if (own / path).exists():
            assert re.fullmatch(wanted, (own / path).read_text()), path
    if (own / "var/log").exists():
        assert {path.name for path in (own / "var/log").iterdir()} == {
            f"of-{number}" for number in range(30)
        }
    if (own / "srv/conf").exists():
        texts = [path.read_text() for path in (own / "srv/conf").iterdir()]
        assert texts == ["x" * 5000] * 30


def check_done(node: Node) -> None:
    check_whole(node.own)
    for path in ("etc/hostname", "etc/machine-id", "etc/adjtime", "var/log", "tmp", "srv/conf"):
        assert (node.own / path).exists(), path
        assert path in node.targets
    assert (node.root / "etc/hostname").read_text() == "shared\n"
    assert (node.root / "etc/adjtime").read_text() == ""


def test_killed_at_any_moment(node: Node) -> None:
    begin = time.monotonic()
    finish(start(node.peer("n9", 9)))
    usual = time.monotonic() - begin
    seen = set()
    chance = random.Random(5)
    for _ in range(KILLS):
        process = start(node)
        time.sleep(chance.uniform(0, usual))
        kill(process)
        check_whole(node.own)
        if (node.own / "etc/machine-id").exists():
            seen.add((node.own / "etc/machine-id").read_text())
    finish(start(node, PREPARE + APPLY))
    check_done(node)
    assert seen <= {(node.own / "etc/machine-id").read_text()}
    assert not [*(node.own / ".new").iterdir()]


def test_two_nodes_at_once(node: Node) -> None:
    nodes = [node, node.peer("n2", 2), node.peer("n3", 3)]
    for process in [start(one, PREPARE + APPLY) for one in nodes]:
        finish(process)
    for one in nodes:
        check_done(one)
        assert (one.own / "etc/hostname").read_text() == f"{one.name}\n"
    assert len({(one.own / "etc/machine-id").read_text() for one in nodes}) == 3


def test_one_node_twice_at_once_loses_nothing(node: Node) -> None:
    twin = Node(Machine(node.machine.root / "twin", node.machine.shell), "n1", 1, node.root)
    for process in [start(node), start(twin)]:
        finish(process)
    check_done(node)


def test_what_is_there_is_never_replaced(node: Node) -> None:
    for path, text in (("etc/hostname", "mine\n"), ("var/log/kept", "log\n")):
        target = node.own / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    finish(start(node))
    assert (node.own / "etc/hostname").read_text() == "mine\n"
    assert [path.name for path in (node.own / "var/log").iterdir()] == ["kept"]
