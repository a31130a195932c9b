"""Red Hat's cluster.conf with OSR's com_info → a cluster file, and what could not come along."""

from __future__ import annotations

import re
from typing import Final

from srbuild.catalog import Catalog
from srbuild.config.patterns import NODES_MAX
from srbuild.errors import raise_all
from srbuild.formats.xmltree import Element
from srbuild.frozen import frozen
from srbuild.osr.document import Document, Loss, read_document
from srbuild.osr.draft import Draft, NodeDraft
from srbuild.osr.fencing import read_fencing
from srbuild.osr.network import read_network
from srbuild.osr.storage import choose_root, read_root, read_scsi
from srbuild.paths import shown

_OFF: Final = frozenset({"", "0", "no", "off", "false"})
# Elements without counterpart → why. What none of these and nobody else takes is told as well.
_CLUSTER: Final = {
    "quorumd": "no quorum disk: [corosync] auto_tie_breaker decides between halves",
    "rm": "rgmanager's services belong to the root's own system",
    "gfs_controld": "GFS2 needs no daemon of its own any more",
    "groupd": "corosync has its work",
    "logging": "logs are below /run/srbuild and /var/log of the bootstrap",
    "fence_xvmd": "the host of virtual machines runs it",
    "uidgid": "only the bootstrap's own daemons talk to corosync",
    "clvmd": "the boot module lvmlockd has its work: docs/lvm.md",
}
_INFO: Final = {
    "syslog": "the bootstrap's log stays on the node: /run/srbuild/log, and the console",
    "chrootenv": "the bootstrap itself stays in memory and runs the daemons: docs/boot.md",
    "fenceackserver": "a person confirms on a node: dlm_tool fence_ack, docs/fencing.md",
}


@frozen
class Imported:
    """A cluster file's `text`, which may hold secrets, and what has no counterpart in it.

    `modules` are the boot modules that an image needs besides those that follow from it.
    """

    text: str
    modules: tuple[str, ...]
    losses: tuple[Loss, ...]


def import_cluster(
    data: bytes, source: str, catalog: Catalog, *, drbd: str = "", unsafe: bool = False
) -> Imported:
    """Make a cluster file of the cluster.conf `data`, which `source` holds.

    `drbd` is the folder with DRBD's own configuration, as the cluster file will see it; `unsafe`
    takes nodes without a fence device and sets `method = "unsafe-none"`. Raises ConfigError, or
    an ErrorGroup with all that is wrong.
    """
    doc = read_document(data, source)
    draft = Draft(doc, catalog, drbd)
    if doc.root.tag != "cluster":
        doc.fail(doc.root, "is not <cluster>", "it is meant to be /etc/cluster/cluster.conf")
        raise_all(doc.errors)
    _read_names(draft)
    pairs = _nodes(draft)
    _read_infos(draft, pairs)
    raise_all(doc.errors)  # without a root nothing below would make sense
    _read_stack(draft, pairs)
    read_fencing(draft, pairs, unsafe=unsafe)
    draft.hoist()
    losses = tuple(doc.losses())
    raise_all(doc.errors)
    return Imported(draft.text(_heads(draft, source, losses)), tuple(draft.extra), losses)


def _heads(draft: Draft, source: str, losses: tuple[Loss, ...]) -> list[str]:
    name = source.rpartition("/")[2]
    heads = [f"Made by srbuild import from {name}."]
    if draft.extra:
        words = " ".join(f"--module {module}" for module in draft.extra)
        heads += [f"Check it and build from it with {words}."]
    if losses:
        heads += ["", "What has no counterpart here, by its line there:"]
        heads += [f"- {loss}" for loss in losses]
    return heads


def _read_names(draft: Draft) -> None:
    doc, root = draft.doc, draft.doc.root
    draft.name = doc.get(root, "name")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}", draft.name):
        hint = "1 to 32 letters, digits, - and _: it is in the lock table of every file system"
        doc.fail(root, f"{draft.name!r} is no cluster's name", hint)
    doc.lose_value(root, "config_version", "nodes are handed one image, not versions of a file")
    doc.lose_value(root, "type", "[fs] type tells which cluster stack there is")
    for tag, why in _CLUSTER.items():
        for one in doc.children(root, tag):
            doc.lose_all(one, why)


def _nodes(draft: Draft) -> list[tuple[NodeDraft, Element]]:
    """A draft of each clusternode, with its element."""
    doc, found = draft.doc, []
    for group in doc.children(doc.root, "clusternodes"):
        for one in doc.children(group, "clusternode"):
            given, number = doc.get(one, "name"), doc.get(one, "nodeid")
            name = given.lower()
            if name != given:
                doc.lose(one, f'name="{given}"', f"host names are lower-case: {name}")
            if not re.fullmatch(r"[1-9][0-9]{0,9}", number):
                hint = 'give it one of its own: nodeid="1"'
                doc.fail(one, f"node {given!r} has no number", hint)
                continue
            if doc.get(one, "votes") not in {"", "1"}:
                doc.lose_value(one, "votes", "every node has one vote")
            for other in doc.children(one, "altname"):
                doc.lose_all(other, "the cluster's messages take one way: put a bond below it")
            for other in doc.children(one, "multicast"):
                doc.lose_all(other, "corosync's knet needs no multicast")
            draft.nodes.append(NodeDraft(one, name, int(number)))
            found.append((draft.nodes[-1], one))
    if not found:
        doc.fail(doc.root, "has no clusternode", "the nodes are what the cluster is made of")
    elif len(found) > NODES_MAX:
        doc.fail(doc.root, f"has more than {NODES_MAX} nodes")
    return found


def _read_infos(draft: Draft, pairs: list[tuple[NodeDraft, Element]]) -> None:
    """com_info of every node: its network, and the root that all share."""
    doc, roots = draft.doc, []
    for node, element in pairs:
        info = doc.child(element, "com_info")
        if info is None:
            doc.lose(element, f"node {node.name}", "has no com_info: its network is not known")
            continue
        root = read_root(doc, info)
        if root:
            roots.append((node, root))
        read_network(draft, node, info)
        read_scsi(draft, info)
        _lose_mounts(doc, info)
        for tag, why in _INFO.items():
            for one in doc.children(info, tag):
                doc.lose_all(one, why)
    if not roots and pairs:
        hint = "import a cluster.conf that OSR boots from: with com_info in its clusternodes"
        doc.fail(doc.root, "no node has a com_info with a rootvolume", hint)
    elif roots:
        choose_root(draft, roots)


def _lose_mounts(doc: Document, info: Element) -> None:
    """com_info's further file systems, as lines for the root's fstab."""
    for group in doc.children(info, "filesystems"):
        for one in doc.children(group, "filesystem"):
            source, dest = doc.get(one, "source"), doc.get(one, "dest")
            fstype, options = doc.get(one, "fstype"), doc.get(one, "mountopts") or "defaults"
            if fstype in {"bind", "rbind"}:
                fstype, options = "none", f"{fstype},{options}"
            line = f"{source} {dest} {fstype or 'auto'} {options} 0 0"
            why = f"the root's own system mounts it; a line for its /etc/fstab: {line}"
            doc.lose(one, dest, why, *one.attributes)


def _read_stack(draft: Draft, pairs: list[tuple[NodeDraft, Element]]) -> None:
    """cman, totem, fence_daemon and dlm → corosync, fence and dlm; tcp_port → o2cb."""
    doc, root = draft.doc, draft.doc.root
    has_corosync = draft.brings("corosync")
    for tag in ("cman", "totem"):
        for one in doc.children(root, tag):
            if not has_corosync:
                doc.lose_all(one, f"{draft.chosen['fs']} has no corosync below it")
            elif tag == "cman":
                _read_cman(draft, one)
            else:
                draft.set(one, "corosync", "token", doc.get(one, "token"))
    for one in doc.children(root, "fence_daemon"):
        if draft.brings("fence"):
            _read_fence_daemon(draft, one)
        else:
            doc.lose_all(one, f"{draft.chosen['fs']} is not fenced by other nodes")
    for one in doc.children(root, "dlm"):
        doc.lose_all(one, "dlm has its own defaults; its messages go corosync's way")
    _read_ports(draft, [element for _, element in pairs])


def _read_ports(draft: Draft, elements: list[Element]) -> None:
    """The port of OCFS2's own stack, which is one for all."""
    doc = draft.doc
    ports = {doc.get(element, "tcp_port") for element in elements} - {""}
    if not draft.brings("o2cb"):
        for element in elements:
            doc.lose_value(element, "tcp_port", "only OCFS2's own stack has a port")
    elif len(ports) > 1:
        doc.fail(elements[0], "nodes differ in tcp_port", "OCFS2's nodes talk on one port")
    elif ports:
        draft.set(elements[0], "o2cb", "port", min(ports))


def _read_fence_daemon(draft: Draft, element: Element) -> None:
    doc = draft.doc
    draft.set(element, "fence", "join_delay", doc.get(element, "post_join_delay"))
    doc.lose_value(element, "post_fail_delay", "[node.fence] delay says it of each node")
    if doc.get(element, "clean_start").lower() not in _OFF:
        draft.set(element, "fence", "startup", "false")


def _read_cman(draft: Draft, element: Element) -> None:
    doc, count = draft.doc, len(draft.nodes)
    two_node = doc.get(element, "two_node").lower() not in _OFF
    expected = doc.get(element, "expected_votes")
    if two_node and count == 2:
        # OSR asked for a YES at the console where the other node was not there.
        draft.set(element, "corosync", "wait_for_all", "true")
        why = "two nodes are known as such; the first start waits for both (wait_for_all)"
        doc.lose_value(element, "two_node", why)
    elif two_node:
        doc.lose_value(element, "two_node", f"the cluster has {count} nodes")
    if expected and not (two_node and expected == "1") and expected != str(count):
        doc.lose_value(element, "expected_votes", f"it is the number of nodes, {count}")
    for one in doc.children(element, "multicast"):
        doc.lose_all(one, "corosync's knet needs no multicast")
    doc.lose_value(element, "keyfile", "name the key in [corosync] authkey")
    for name in ("port", "cluster_id", "transport", "upgrading", "disallowed", "quorum_dev_poll"):
        doc.lose_value(element, name, "corosync's own default is used")


def next_words(imported: Imported, target: str) -> str:
    """The command that checks the written file."""
    words = "".join(f" --module {module}" for module in imported.modules)
    return f"srbuild cluster check {shown(target)}{words}"
