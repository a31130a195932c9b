"""Host-specific files: nodes write one path each, and the server sees what became of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from srbuild.lab.cluster import BOTH, FIVE, N1, N2
from srbuild.lab.lab import SERVER_MAC, Lab, NodeSpec
from srbuild.lab.proof import check_shared_root
from srbuild.lab.qemu import Disk, Vm
from srbuild.lab.rows.blocks import ISCSI
from srbuild.lab.rows.filesystems import GFS2
from srbuild.lab.rows.row import Row
from srbuild.lab.scenario import Scenario
from srbuild.lab.scenarios.nfs import EXPORT, cluster_file, serve
from srbuild.lab.server import Agent
from srbuild.lab.steps import BOOT, LEAVE, STOP
from srbuild.paths import data_dir

ROW: Final = Row(GFS2, ISCSI)
MOUNTED: Final = "/run/lab.root"  # by the job mount-root
LIST: Final = "modules/container/local/hostfiles.list"

SHARED = ("etc/hostname", "etc/machine-id", "etc/adjtime", "var/log/messages")
_ID = re.compile(r"[0-9a-f]{32},")


def own_files(lines: Sequence[str]) -> dict[str, dict[str, str]]:
    """What list-own.sh says: node (or `shared`) → path → text."""
    found: dict[str, dict[str, str]] = {"shared": {}}
    for line in lines:
        match line.split(" ", 3):
            case ["own", node, path, text]:
                found.setdefault(node, {})[path] = text
            case ["shared", path, *text]:
                found["shared"][path] = " ".join(text)
    return found


def each_its_own(lab: Lab, state: str) -> None:
    """Hostname, machine-id, adjtime, resolv.conf and logs stay each node's own."""
    server = serve(lab)
    server.require("share-files", EXPORT)
    cluster = f'{cluster_file()}[local]\nstate = "{state}"\n'
    with lab.step("n1 and n2 boot on one root"):
        held = {spec.name: lab.hold(spec, cluster, ()) for spec in (N1, N2)}
        for _, agent in held.values():
            agent.wait_ready(lab.left(BOOT))
    with lab.step("each writes what is its own, and leaves"):
        for name, (vm, agent) in held.items():
            said = agent.require("write-own", name, seconds=lab.left(60))
            lab.expect(not any("replaced" in line for line in said), f"no file replaced on {name}")
            lab.expect(b"paths are" in vm.text(), f"{name} tells of its own paths")
            agent.require("leave", seconds=lab.left(60))
        lab.wait_power_off([vm for vm, _ in held.values()], 150)
    lines = server.require("list-own", EXPORT, seconds=lab.left(60))
    found = own_files(lines)
    lab.proof["own"] = found
    _judge(lab, found, state)
    check_shared_root(lab, server, "check-export", {"n1": (), "n2": ()})


def _judge(lab: Lab, found: dict[str, dict[str, str]], state: str) -> None:
    shared = found["shared"]
    for path in SHARED:
        lab.expect(shared.get(path) == "shared,", f"/{path} as it was, but: {shared.get(path)!r}")
    others = {path for path in shared if path not in SHARED}
    lab.expect(others == {"etc/shared-of-n1", "etc/shared-of-n2"}, f"nothing else shared: {others}")
    ids = set()
    for name in ("n1", "n2"):
        own = found.get(name, {})
        for path in ("etc/hostname", "etc/adjtime", "etc/resolv.conf"):
            lab.expect(own.get(path) == f"{name} wrote,", f"{name}'s {path}: {own.get(path)!r}")
        first, _, rest = own.get("etc/machine-id", "").partition(",")
        lab.expect(bool(_ID.fullmatch(f"{first},")), f"an id for {name}, but: {first!r}")
        lab.expect(rest == f"{name} wrote,", f"{name} wrote its id")
        ids.add(first)
        logs = {path: text for path, text in own.items() if path.startswith(("var/log/", "tmp/"))}
        text = f"{name} wrote,"
        kept = {"var/log/messages": text, "var/log/rotated": text, f"tmp/of-{name}": text}
        wanted = kept if state == "shared-root" else {}
        lab.expect(logs == wanted, f"{name}'s logs {wanted}, but: {logs}")
    lab.expect(len(ids) == 2, "two ids")


def default_paths() -> dict[str, str]:
    """What the default list keeps apart but for systemd's alone: path → dir or file.

    A pattern stands for one file that matches it.
    """
    kinds = {"dir": "dir", "state": "dir", "file": "file", "identity": "file", "link": "file"}
    found: dict[str, str] = {}
    for line in (data_dir() / LIST).read_text().splitlines():
        match line.split():
            case [name, what, where, *_] if what in kinds and where in ("any", "debian", "rhel"):
                found[name.lstrip("/").replace("*", "x")] = kinds[what]
    return found


def five_nodes(lab: Lab) -> None:
    """Four nodes share a root; a fifth is refused, then added to the cluster, and boots, too."""
    paths = default_paths()
    server = serve(lab)
    with lab.step(f"the root gets the {len(paths)} paths of the default list"):
        for path, kind in paths.items():
            server.require("make-path", EXPORT, kind, path)
    *four, fifth = (replace(node, memory=512) for node in FIVE)
    known, grown = (cluster_file(nodes=nodes) for nodes in (FIVE[:-1], FIVE))
    with lab.step("n1 to n4 boot one image on one root"):
        held = {spec.name: lab.hold(spec, known, ()) for spec in four}
        for _, agent in held.values():
            agent.wait_ready(lab.left(2 * BOOT))
    with lab.step("n5, which the cluster file does not have, is refused"):
        stranger = lab.start(fifth, known, ())
        lab.wait_failure(stranger, STOP, "identity", fifth.mac, "n1", "n4")
    with lab.step("n5 is added to the cluster file and boots while the others run"):
        held[fifth.name] = lab.hold(fifth, grown, ("n1",))
        held[fifth.name][1].wait_ready(lab.left(BOOT))
    _write_all(lab, held, paths)
    _judge_all(lab, own_files(server.require("list-own", EXPORT)), paths, held)
    read = {name: ("n1",) if name == fifth.name else () for name in held}
    check_shared_root(lab, server, "check-export", read)


def two_on_gfs2(lab: Lab) -> None:
    """Two nodes share a root on GFS2, which is made and looked at where no node has it."""
    paths = default_paths()
    disk = Disk(lab.own_disk("root", lab.disk(ROW.fs.disk, ISCSI.cluster)), keep=True)
    maker = lab.server(ISCSI.cluster, disk, node=NodeSpec("maker", SERVER_MAC))
    with lab.step(f"the root gets the {len(paths)} paths of the default list"):
        maker.require("release")
        maker.require("mount-root", "gfs2")
        for path, kind in paths.items():
            maker.require("make-path", MOUNTED, kind, path)
        maker.require("unmount-root")
        maker.call("poweroff", seconds=20)
    server = lab.server(ISCSI.cluster, disk)
    with lab.step("n1 and n2 boot on one root"):
        held = {spec.name: lab.hold(spec, ROW.cluster(), BOTH[spec.name]) for spec in (N1, N2)}
        for _, agent in held.values():
            agent.wait_ready(lab.left(BOOT))
    _write_all(lab, held, paths)
    check_shared_root(lab, server, "check-gfs2", BOTH)
    server.require("mount-root", "gfs2")
    _judge_all(lab, own_files(server.require("list-own", MOUNTED)), paths, held)


def _write_all(lab: Lab, held: Mapping[str, tuple[Vm, Agent]], paths: Mapping[str, str]) -> None:
    with lab.step("each writes all that is its own, and leaves"):
        for name, (_, agent) in held.items():
            said = agent.require("write-every", name, seconds=lab.left(60))
            wrote = {path: kind for _, kind, path in (line.split() for line in said)}
            lab.expect(wrote == paths, f"{name} writes {sorted(paths)}, but: {sorted(wrote)}")
        for _, agent in held.values():
            agent.require("leave", seconds=lab.left(60))
        lab.wait_power_off([vm for vm, _ in held.values()], 2 * LEAVE)


def _judge_all(
    lab: Lab, found: dict[str, dict[str, str]], paths: dict[str, str], nodes: Iterable[str]
) -> None:
    """Each of `nodes` has what it wrote at each of `paths`, and what all share is as it was."""
    lab.proof["own"] = found
    places = {path if kind == "file" else f"{path}/of-all" for path, kind in paths.items()}
    shared = found["shared"]
    lab.expect(shared == dict.fromkeys(places, "shared,"), f"what all share, but: {shared}")
    for name in nodes:
        own = {path if k == "file" else f"{path}/of-{name}" for path, k in paths.items()}
        wrote = {path: text for path, text in found.get(name, {}).items() if path in own}
        lab.expect(wrote == dict.fromkeys(own, f"{name} wrote,"), f"{name}'s own, but: {wrote}")


def _scenario(suffix: str, summary: str, state: str) -> Scenario:
    run = partial(each_its_own, state=state)
    return Scenario(f"hostfiles{suffix}", summary, "nfs", "", ("lab-export", "nfs-server"), run)


SCENARIOS = (
    Scenario(
        "hostfiles-five",
        "four nodes on one NFS root and a fifth added later: the whole list is each one's own",
        "nfs",
        "",
        ("lab-export", "nfs-server"),
        five_nodes,
    ),
    ROW.scenario(
        "-hostfiles", "two nodes on one GFS2: the whole list is each one's own", two_on_gfs2
    ),
    _scenario("", "two nodes on one NFS root write each its own files", "shared-root"),
    _scenario("-tmpfs", "the same with what is state kept in memory", "tmpfs"),
)
