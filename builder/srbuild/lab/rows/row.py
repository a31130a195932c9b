"""The values that a row is made of: a file system, a block device, and both together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace

from srbuild.frozen import frozen
from srbuild.lab.cluster import N1, N2, NO_TABLES, cluster_text
from srbuild.lab.disk import DiskSpec
from srbuild.lab.lab import MAKER, Lab, NodeSpec
from srbuild.lab.proof import check_shared_root
from srbuild.lab.qemu import Disk
from srbuild.lab.scenario import Scenario
from srbuild.lab.server import Agent
from srbuild.paths import HostPath
from srbuild.plan import NONE


@frozen
class Terms:
    """On what terms nodes share a root.

    `limit` is for how many seconds a node may fall silent before it is lost, 0 for the file
    system's shortest; `alone` whether a node goes on without a peer that was never seen;
    `fencing` whether nodes can turn each other off, where the file system needs that.
    """

    limit: int = 0
    alone: bool = False
    fencing: bool = False


_TERMS = Terms()


@frozen
class FileSystem:
    """A file system that nodes share.

    `words` are those of the job make-TOOLS, which the server module lab-TOOLS brings; `label` is
    what it is then called. `tables` is its part of the cluster file. A node that has been silent
    for `limit` seconds is lost: it is turned off by its peer through the boot module `fence`, or
    without one resets itself and then says `last_words`. `modules` go into the image besides.
    """

    name: str
    words: tuple[str, ...]
    tables: Callable[[Terms], str]
    tools: str
    label: str = "root"
    limit: int = 0
    fence: str = ""
    last_words: str = ""
    root: str = ""
    modules: tuple[str, ...] = ()

    @property
    def disk(self) -> DiskSpec:
        """A disk with the lab's root on it, or the distribution's that `root` names."""
        return DiskSpec(512 if self.root else 256, f"make-{self.tools}", self.words, self.root)

    @property
    def check(self) -> str:
        """The job that reads the disk after a run."""
        return f"check-{self.tools}"


@frozen
class Storage:
    """Where the root is in one run: behind a server, or on disks that the nodes have themselves."""

    lab: Lab
    fs: FileSystem
    server: Agent | None = None
    own: Mapping[str, Disk] = field(default_factory=dict)

    @property
    def disks(self) -> dict[str, tuple[Disk, ...]]:
        """Node → the disks that it has."""
        return {name: (disk,) for name, disk in self.own.items()}

    def path(self, node: NodeSpec) -> HostPath:
        """The file behind the node's own disk."""
        return self.own[node.name].path

    def order(self, job: str, *words: str) -> tuple[str, ...]:
        """Have the server do a job; what it says. ValueError where there is no server."""
        if not self.server:
            raise ValueError(f"no server for the job {job}")
        return self.server.require(job, *words)

    def check(self, seen: Mapping[str, Sequence[str]], last: NodeSpec = N1) -> None:
        """Prove that the root is clean and holds the tokens; see `check_shared_root`.

        `last` is the node that wrote last, whose disk is looked at where each has one.
        """
        server = self.server or self.lab.server(MAKER, Disk(self.path(last)))
        check_shared_root(self.lab, server, self.fs.check, seen)


@frozen
class Refusal:
    """Something wrong that stops the boot at `storage` with a summary that holds `words`.

    `swap` is replaced in [block] by what stands there instead, `lines` are added to it, `extra`
    goes on the kernel's command line. Without `served` there is no storage at all.
    """

    suffix: str
    summary: str
    words: tuple[str, ...]
    swap: tuple[str, str] = ("", "")
    lines: str = ""
    extra: str = ""
    served: bool = True


@frozen
class Late:
    """What a node `says` while its server is away; the jobs that take it away and bring it back."""

    says: str
    down: str
    up: str


@frozen
class Block:
    """A block device that nodes share.

    `table` has the lines of [block], `tables` are others of the cluster file, `own` each node's
    tables; `modules` are what the image needs besides, `server` the storage server's. Where
    there is one it is `cluster` that says what it serves; without, `storage` makes the disks.
    `card` is the nodes' network card that leads to the storage or, if none does, to the peer.
    """

    name: str
    table: str
    refusals: tuple[Refusal, ...]
    cluster: str = ""
    storage: Callable[[Lab, FileSystem], Storage] | None = None
    tables: str = ""
    own: Mapping[str, str] = field(default_factory=lambda: NO_TABLES)
    modules: tuple[str, ...] = ()
    server: tuple[str, ...] = ()
    late: Late | None = None
    card: int = 0

    def with_table(self, swap: tuple[str, str] = ("", ""), lines: str = "") -> Block:
        """The same with something replaced in its table, or added to it."""
        table = self.table.replace(*swap) if swap[0] else self.table
        return replace(self, table=f"{table}{lines}")

    def serve(self, lab: Lab, fs: FileSystem) -> Storage:
        """Have a root of `fs` on it, for this run."""
        if self.storage:
            return self.storage(lab, fs)
        return Storage(lab, fs, lab.serve(fs.disk, self.cluster))


@frozen
class Row:
    """A file system on a block device, and what runs the root that is on it."""

    fs: FileSystem
    block: Block
    container: str = NONE

    @property
    def name(self) -> str:
        """As scenarios and images are called."""
        return f"{self.fs.name}-{self.block.name}"

    def cluster(
        self, terms: Terms = _TERMS, more: str = "", nodes: Sequence[NodeSpec] = (N1, N2)
    ) -> str:
        """The cluster file, `more` tables in it."""
        block = f'[block]\ntype = "{self.block.name}"\n{self.block.table}'
        tables = f"{self.block.tables}{block}{self.fs.tables(terms)}{more}"
        return cluster_text(tables, nodes, self.block.own, self.container)

    def serve(self, lab: Lab) -> Storage:
        """Have its root, for this run."""
        return self.block.serve(lab, self.fs)

    def scenario(
        self,
        suffix: str,
        summary: str,
        run: Callable[[Lab], None],
        modules: tuple[str, ...] = (),
        server: tuple[str, ...] = (),
    ) -> Scenario:
        """A scenario of the row; `modules` and `server` add to what the row needs."""
        return Scenario(
            f"{self.name}{suffix}",
            summary,
            self.fs.name,
            self.block.name,
            (f"lab-{self.fs.tools}", *server, *self.block.server),
            run,
            (*self.fs.modules, *self.block.modules, *modules),
            self.container,
        )
