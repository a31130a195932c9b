"""The lab's fence device: the host ends a machine for another one and confirms it.

Each machine with a fence port (`Machine.fence`) has a virtio port of that name, on which the
agent of the boot module `fence-lab` speaks lines with the host:

    node:   TAG off|reboot|on|status NAME
    host:   TAG done              off and reboot: NAME runs no more; on: taken note of
    host:   TAG on | TAG off      status: whether NAME runs
    host:   TAG refused           nothing was done
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

from srbuild.frozen import frozen
from srbuild.lab.qemu import POLL_S, Vm

Policy = Callable[[str, str], bool]
"""Whether the node (second) may have the node (first) turned off."""


@frozen
class Fenced:
    """One order to turn a node off: who gave it, whether it was carried out, and when.

    `at` is a time of time.monotonic().
    """

    name: str
    by: str
    done: bool
    at: float


class FenceDesk:
    """Answers the fence agents of all machines that were `added`, each in a thread of its own."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.orders: list[Fenced] = []
        self._machines: dict[str, Vm] = {}
        self._closed = threading.Event()
        self._threads: list[threading.Thread] = []

    def add(self, vm: Vm) -> None:
        """Have `vm` as one that may fence and be fenced; a later one of its name replaces it."""
        self._machines[vm.machine.name] = vm
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        channel.connect(str(vm.fence_port))
        channel.settimeout(POLL_S)
        thread = threading.Thread(target=self._serve, args=(vm, channel), daemon=True)
        thread.start()
        self._threads.append(thread)

    def close(self) -> None:
        """Answer no more."""
        self._closed.set()
        for thread in self._threads:
            thread.join(timeout=10)

    @property
    def fenced(self) -> list[str]:
        """The nodes that were turned off, in order."""
        return [order.name for order in self.orders if order.done]

    def _serve(self, vm: Vm, channel: socket.socket) -> None:
        buffer = b""
        with channel:
            while not self._closed.is_set():
                try:
                    data = channel.recv(4096)
                except TimeoutError:
                    continue
                except OSError:
                    return
                if not data:
                    return
                *lines, buffer = (buffer + data).split(b"\n")
                for line in lines:
                    answer = self._answer(vm, line.decode("utf-8", "replace").split())
                    try:
                        channel.sendall(answer.encode())
                    except OSError:
                        return  # it was turned off itself meanwhile

    def _answer(self, vm: Vm, words: list[str]) -> str:
        match words:
            case [tag, "status", name]:
                machine = self._machines.get(name)
                return f"{tag} {'on' if machine and machine.alive else 'off'}\n"
            case [tag, "on", _]:
                return f"{tag} done\n"
            case [tag, "off" | "reboot", name]:
                return f"{tag} {'done' if self._turn_off(name, vm) else 'refused'}\n"
            case [tag, *_]:
                return f"{tag} refused\n"
        return ""

    def _turn_off(self, name: str, by: Vm) -> bool:
        victim = self._machines.get(name)
        done = by.alive and self.policy(name, by.machine.name)
        if victim and done:
            victim.kill()  # which returns once the process is gone
            done = not victim.alive
        self.orders.append(Fenced(name, by.machine.name, done, time.monotonic()))
        return done
