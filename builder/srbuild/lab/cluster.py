"""The lab's cluster: its nodes, and its cluster file as a user would write it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from srbuild.lab.lab import NodeSpec

N1 = NodeSpec("n1", "52:54:00:00:00:01")
N2 = NodeSpec("n2", "52:54:00:00:00:02")
NODES = (N1, N2, NodeSpec("n3", "52:54:00:00:00:03"))
FIVE = (*NODES, NodeSpec("n4", "52:54:00:00:00:04"), NodeSpec("n5", "52:54:00:00:00:05"))
BOTH: Mapping[str, tuple[str, ...]] = {"n1": ("n2",), "n2": ("n1",)}
"""Who has read whose token when two nodes shared a root; see `check_shared_root`."""

NO_TABLES: Mapping[str, str] = {}


def cluster_text(
    tables: str,
    nodes: Sequence[NodeSpec] = (N1, N2),
    own: Mapping[str, str] = NO_TABLES,
    container: str = "none",
) -> str:
    """A cluster file with these tables and nodes; see `node_tables`."""
    head = f'name = "lab"\n{tables.rstrip()}\n[container]\ntype = "{container}"\n'
    return f"{head}{node_tables(nodes, own)}"


def node_tables(nodes: Sequence[NodeSpec] = (N1, N2), own: Mapping[str, str] = NO_TABLES) -> str:
    """The part of a cluster file that names these nodes, called n1, n2 and so on.

    `own` maps a node's name to tables of its own ([node.MODULE]).
    """
    text = ""
    for node in nodes:
        number = node.name.removeprefix("n")
        text += f'[[node]]\nname = "{node.name}"\nid = {number}\nmac = ["{node.mac}"]\n'
        text += f'address = "10.9.0.2{number}/24"\n{own.get(node.name, "")}'
    return text
