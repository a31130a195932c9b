"""Which clusters the chosen boot modules can't serve, said at build time and not by a lost disk."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence

from srbuild.bootmodule import Module
from srbuild.config.cluster import Cluster, Node
from srbuild.config.settings import Settings
from srbuild.errors import ConflictError, Origin, SrbuildError, raise_all


def check_limits(modules: Sequence[Module], cluster: Cluster, recipe: Settings) -> None:
    """Raise ConflictError, or an ErrorGroup, for what of `cluster` is beyond a module's limits.

    `recipe` holds the values that stand below the cluster file's.
    """
    raise_all([error for module in modules for error in _beyond(module, modules, cluster, recipe)])


def _beyond(
    module: Module, modules: Sequence[Module], cluster: Cluster, recipe: Settings
) -> Iterator[SrbuildError]:
    limits, source = module.limits, cluster.origin.source
    count = len(cluster.nodes)
    beside = any(other.offers(limits.beside) for other in modules if limits.beside)
    lifted = beside or _lifted(module, cluster, recipe)
    if limits.nodes is not None and count > limits.nodes and not lifted:
        most = "one node" if limits.nodes == 1 else f"{limits.nodes} nodes"
        option, _, value = limits.unless.partition("=")
        way = f'{option} = "{value}"' if value else f"{option} = true"
        yield ConflictError(
            f"{module.name} serves {most}, the cluster has {count}: {limits.reason}",
            f"set {way} in [{module.table}]" if option else "",
            Origin(source, "node"),
        )
    if limits.cluster_name and not re.fullmatch(limits.cluster_name, cluster.name):
        yield ConflictError(
            f"{module.name} takes no cluster called {cluster.name!r}: {limits.reason}",
            f"its name must match {limits.cluster_name}",
            Origin(source, "name"),
        )
    for node in cluster.nodes:
        if limits.node_id is not None and node.id > limits.node_id:
            yield ConflictError(
                f"{module.name} takes no node number {node.id}: {limits.reason}",
                f"number the nodes from 1 to {limits.node_id}",
                _place(node, "id", source),
            )
        if limits.address and not _has_ipv4(node.address):
            yield ConflictError(
                f"{module.name} needs an IPv4 address of {node.name}: {limits.reason}",
                'give it one: address = "10.0.0.1/24"',
                _place(node, "address", source),
            )


def _place(node: Node, key: str, source: str) -> Origin:
    """Where `key` of `node` stands, or would."""
    at = node.origin or Origin(source, node.name)
    return Origin(at.source, f"{at.key}.{key}" if at.key else key, at.line)


def _lifted(module: Module, cluster: Cluster, recipe: Settings) -> bool:
    """Whether the option that lifts the limit of nodes is set."""
    name, _, value = module.limits.unless.partition("=")
    if not name:
        return False
    default = module.options[name].default
    below = recipe.get(module.name, {}).get(name, default)
    return cluster.values.get(module.name, {}).get(name, below) == (value or "1",)


def _has_ipv4(address: str | None) -> bool:
    return address is not None and ipaddress.ip_interface(address).version == 4
