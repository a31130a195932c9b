"""The lab's fence desk: a node is gone before its peer hears so, and a refusal changes nothing."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from srbuild.lab.fencing import FenceDesk
from srbuild.lab.qemu import Machine, Vm, command


class Node:
    """A machine of its fence port and a power switch alone."""

    def __init__(self, folder: Path, name: str) -> None:
        self.machine = SimpleNamespace(name=name)
        self.alive = True
        self.fence_port = folder / f"{name}.fence"
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(self.fence_port))
        self._server.listen(1)

    def connect(self) -> None:
        self.port = self._server.accept()[0]
        self.port.settimeout(10)

    def kill(self) -> None:
        self.alive = False

    def ask(self, words: str) -> str:
        self.port.sendall(f"{words}\n".encode())
        return self.port.recv(100).decode().strip()

    def close(self) -> None:
        self.port.close()
        self._server.close()


@pytest.fixture
def open_desk(tmp_path: Path) -> Iterator[Callable[..., tuple[FenceDesk, Node, Node]]]:
    opened: list[Node | FenceDesk] = []

    def make(allowed: bool) -> tuple[FenceDesk, Node, Node]:
        desk = FenceDesk(lambda name, by: allowed)
        nodes = Node(tmp_path, "n1"), Node(tmp_path, "n2")
        opened.extend([desk, *nodes])
        for node in nodes:
            desk.add(cast(Vm, node))
            node.connect()
        return desk, *nodes

    yield make
    for one in opened:
        one.close()


Open = Callable[..., tuple[FenceDesk, Node, Node]]


@pytest.mark.parametrize("action", ["off", "reboot"])
def test_a_node_is_gone_when_its_peer_hears_so(open_desk: Open, action: str) -> None:
    desk, n1, n2 = open_desk(True)
    assert n1.ask("7 status n2") == "7 on"
    assert n1.ask(f"8 {action} n2") == "8 done"
    assert (n1.alive, n2.alive, desk.fenced) == (True, False, ["n2"])
    assert n1.ask("9 status n2") == "9 off"


def test_a_refusal_leaves_everybody_alive(open_desk: Open) -> None:
    desk, n1, n2 = open_desk(False)
    assert n1.ask("1 off n2") == "1 refused"
    assert (n2.alive, desk.fenced) == (True, [])
    assert [(order.name, order.by, order.done) for order in desk.orders] == [("n2", "n1", False)]
    desk.policy = lambda name, by: True
    assert n1.ask("2 off n2") == "2 done"


def test_who_has_been_turned_off_turns_nobody_off(open_desk: Open) -> None:
    desk, n1, n2 = open_desk(True)
    assert n2.ask("1 off n1") == "1 done"
    assert n1.ask("1 off n2") == "1 refused"
    assert (n2.alive, desk.fenced) == (True, ["n1"])


@pytest.mark.parametrize("words", ["1 explode n2", "1 off", "1 off n2 n1"])
def test_what_makes_no_sense_is_refused(open_desk: Open, words: str) -> None:
    desk, n1, n2 = open_desk(True)
    assert n1.ask(words) == "1 refused"
    assert n1.alive
    assert n2.alive
    assert desk.orders == []


def test_a_machine_that_was_never_started_is_off(open_desk: Open) -> None:
    desk, n1, _ = open_desk(True)
    assert n1.ask("1 status n3") == "1 off"
    assert n1.ask("2 reboot n3") == "2 done"
    assert desk.fenced == ["n3"]


def test_the_fence_port_and_further_devices_are_qemus(tmp_path: Path) -> None:
    plain = Machine("n1", tmp_path, tmp_path, "")

    def words(machine: Machine) -> str:
        return " ".join(command(machine, tmp_path / "serial", tmp_path / "n1.control"))

    assert "virtserialport,chardev=fence,name=fence" in words(replace(plain, fence=True))
    assert f"path={tmp_path}/n1.fence" in words(replace(plain, fence=True))
    assert "virtserialport" not in words(plain)
    assert "-device i6300esb" in words(replace(plain, devices=("-device", "i6300esb")))
