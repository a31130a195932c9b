"""The links between the lab's machines: a QEMU each that joins unix sockets to one segment."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from srbuild.errors import ToolError, VerifyError
from srbuild.lab.qemu import spawn, unix_words, wait_until
from srbuild.paths import HostPath

HUB_PORTS = 8  # cards that a link has room for


def hub_command(qemu: str, ports: Sequence[HostPath]) -> tuple[str, ...]:
    """The command line of a QEMU without a machine that listens on `ports` and joins them."""
    args = [qemu, "-M", "none", "-nodefaults", "-no-user-config", "-display", "none"]
    for i, port in enumerate(ports):
        args += ["-netdev", f"stream,id=port{i},{unix_words(port, server=True)}"]
        args += ["-netdev", f"hubport,id=hub{i},hubid=0,netdev=port{i}"]
    return tuple(args)


class Hub:
    """An Ethernet segment between machines, for this run alone and without any privilege.

    It runs from when this is made; a context manager that ends it on the way out. A frame that
    comes in on one port goes out on all others, and never back: who heard his own frames would
    take them for another machine's with his address (IPv6 and FCoE do). `qemu` is the program,
    `folder` receives the ports' sockets. Raises ToolError when QEMU gives up at once.
    """

    def __init__(self, qemu: str, folder: HostPath) -> None:
        folder.mkdir()
        self._macs: dict[str, HostPath] = {}
        self._free = [folder / str(i) for i in range(HUB_PORTS)]
        log = folder / "log"
        self._process = spawn(hub_command(qemu, self._free), log)

        def listens() -> bool:
            if self._process.poll() is not None:
                raise ToolError(f"the link's QEMU ended at once: {log.read_text().strip()}")
            return all(port.exists() for port in self._free)

        try:
            wait_until(20, "the link's start", listens)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def port(self, mac: str) -> HostPath:
        """The port of the card with that address: the same whenever its machine is started."""
        if mac not in self._macs:
            if not self._free:
                raise VerifyError(f"a link of the lab has {HUB_PORTS} ports, and all are in use")
            self._macs[mac] = self._free.pop(0)
        return self._macs[mac]

    def close(self) -> None:
        """End the segment."""
        self._process.kill()
        self._process.wait(timeout=30)
