"""What is on the shared disk after a run, read by the storage server and judged here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from srbuild.frozen import frozen
from srbuild.lab.lab import Lab
from srbuild.lab.server import Agent


@frozen
class SharedRoot:
    """The shared root after the nodes have left.

    `fsck` is the checker's exit status, 0 for clean. `tokens` maps a node to what it wrote,
    `seen` a node to what it read of its peers: peer → token.
    """

    fsck: int
    tokens: Mapping[str, str]
    seen: Mapping[str, Mapping[str, str]]


def read_shared_root(lines: Sequence[str]) -> SharedRoot:
    """Make a SharedRoot of a check job's lines (lab/jobs/check-*.sh); others are ignored.

    Without an `fsck` line the status is -1: nothing was checked.
    """
    fsck = -1
    tokens: dict[str, str] = {}
    seen: dict[str, dict[str, str]] = {}
    for line in lines:
        match line.split():
            case ["fsck", status] if status.isdigit():
                fsck = int(status)
            case ["token", node, token]:
                tokens[node] = token
            case ["seen", node, *words] if all("=" in word for word in words):
                seen[node] = dict(word.split("=", 1) for word in words)
    return SharedRoot(fsck, tokens, seen)


def check_shared_root(
    lab: Lab, server: Agent, job: str, nodes: Mapping[str, Sequence[str]], *words: str
) -> None:
    """Have `job` read the disk; VerifyError unless it is clean and holds every token.

    `words` are the job's. `nodes` maps each node that ran to the peers whose tokens it must
    have read.
    """
    with lab.step("the server checks the file system and reads the tokens"):
        lines = server.require(job, *words, seconds=lab.left(120))
    root = read_shared_root(lines)
    lab.proof.update(
        fsck=root.fsck,
        tokens=dict(root.tokens),
        seen={node: dict(read) for node, read in root.seen.items()},
        expected=dict(lab.tokens),
    )
    said = "\n".join(f"  {line}" for line in lines)
    lab.expect(root.fsck == 0, f"a clean file system, but the checker said:\n{said}")
    for node, peers in nodes.items():
        lab.expect(
            root.tokens.get(node) == lab.tokens[node],
            f"the token of {node} on the disk, but there is {root.tokens.get(node)!r}",
        )
        expected = {peer: lab.tokens[peer] for peer in peers}
        lab.expect(
            root.seen.get(node) == expected,
            f"{node} has read {expected}, but it read {root.seen.get(node)!r}",
        )
