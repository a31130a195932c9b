"""The lab's links: every frame reaches all others, and none its sender."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from srbuild.errors import ToolError, VerifyError
from srbuild.lab.hub import HUB_PORTS, Hub


def frame(word: bytes) -> bytes:
    """A frame as QEMU's stream protocol has it: its length in four bytes, then the frame."""
    data = b"\xff" * 6 + b"\x52\x54\0\0\0\x01" + b"\x88\xa2" + word.ljust(46)
    return len(data).to_bytes(4, "big") + data


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with Hub("qemu-system-x86_64", tmp_path / "link") as hub:
        yield hub


def plug(hub: Hub, mac: str) -> socket.socket:
    """A card on the link."""
    card = socket.socket(socket.AF_UNIX)
    card.connect(str(hub.port(mac)))
    card.settimeout(20)
    return card


def say_until_heard(sender: socket.socket, word: bytes, *hearers: socket.socket) -> None:
    """The hub takes a moment to see a new card: say it again until all have heard it."""
    for hearer in hearers:
        hearer.settimeout(0.2)
        for _ in range(100):
            sender.sendall(frame(word))
            try:
                assert hearer.recv(len(frame(word)), socket.MSG_WAITALL) == frame(word)
                break
            except TimeoutError:
                continue
        else:
            pytest.fail("nothing is heard")


def test_a_frame_reaches_all_others_on_the_link_and_never_its_sender(hub: Hub) -> None:
    one, two, three = (plug(hub, mac) for mac in ("m1", "m2", "m3"))
    with one, two, three:
        say_until_heard(one, b"hello", two, three)
        say_until_heard(two, b"answer", one)  # the first that it hears is no echo of its own


def test_a_machine_that_is_started_again_is_on_its_old_port(hub: Hub) -> None:
    with plug(hub, "m2") as two:
        with plug(hub, "m1") as one:
            say_until_heard(one, b"before", two)
        with plug(hub, "m1") as one:
            say_until_heard(two, b"after", one)


def test_a_link_that_is_full_says_so(hub: Hub) -> None:
    ports = {hub.port(f"m{i}") for i in range(HUB_PORTS)}
    assert len(ports) == HUB_PORTS
    assert hub.port("m0") in ports
    with pytest.raises(VerifyError, match="8 ports"):
        hub.port("one more")


def test_a_link_without_qemu(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="not installed") as error:
        Hub("qemu-system-aarch64-not-there", tmp_path / "link")
    assert "apt-get" in error.value.hint
