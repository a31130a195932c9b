"""What goes together and what does not: every pair of --fs and --blk, and what else is refused.

Each is run as a command; the table of docs/combinations.md says the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from srbuild.pipeline import find_modules
from support.combinations import combinations_page
from support.commands import Done
from support.plans import furnish
from support.trees import Tree

CATALOG = find_modules()
FS = [module.name for module in CATALOG.of_kind("fs")]
BLOCKS = [module.name for module in CATALOG.of_kind("block")]
# What a root of this kind lies on. A new file system's module has to be put into one of the two.
ON_A_SERVER = {"nfs", "cifs", "glusterfs"}
ON_A_DISK = {"gfs2", "ocfs2", "gfs", "ocfs", "vmfs", "vxcfs", "ext4", "xfs", "btrfs"}
NODE = (
    '[[node]]\nname = "n{0}"\nid = {0}\nmac = ["52:54:00:00:00:0{0}"]\naddress = "10.9.0.2{0}/24"\n'
)
FENCE = '[fence]\nmethod = "unsafe-none"\n'
MIRROR = '[block]\ntype = "drbd"\ndisk = "/dev/sdb"\nallow_two_primaries = {}\n'
PCMK = ["--module", "ocfs2-pcmk"]
DISK = '[block]\ntype = "scsi"\ndevice = "LABEL=root"\n'


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree with nothing but what the machine's ground needs: no pair is refused for its files."""
    return furnish(Tree(tmp_path_factory.mktemp("combinations") / "root"), "none")


def cluster(fs: str, nodes: int = 2, block: str = DISK, more: str = "") -> str:
    every = "".join(NODE.format(number) for number in range(1, nodes + 1))
    return f'name = "lab"\n{block}[fs]\ntype = "{fs}"\n{more}{every}'


def test_every_file_system_is_known_here() -> None:
    assert set(FS) <= ON_A_SERVER | ON_A_DISK
    assert not ON_A_SERVER & ON_A_DISK


@pytest.mark.parametrize("fs", FS)
@pytest.mark.parametrize("blk", ["", *BLOCKS])
def test_a_pair(srbuild: Callable[..., Done], tree: Path, fs: str, blk: str) -> None:
    chosen = ["--fs", fs, *(("--blk", blk) if blk else ())]
    done = srbuild("build", *chosen, "--sysroot", tree, "-o", "image")
    if fs in ON_A_DISK and not blk:
        assert done.code == 3
        assert f"a block device is needed, and none is chosen ({fs} → " in done.err
        assert f"hint: choose one with --blk: {', '.join(BLOCKS)}" in done.err
    elif fs in ON_A_SERVER and blk:
        assert done.code == 5
        assert f"{fs} and {blk} exclude each other" in done.err.replace(
            f"{blk} and {fs}", f"{fs} and {blk}"
        )
        assert "leave --blk out" in done.err
    elif (fs, blk) == ("ocfs2", "drbd"):
        assert done.code == 5
        assert "o2cb and drbd exclude each other" in done.err
        assert "--module ocfs2-pcmk" in done.err
        beside = (*PCMK, "--set", "fence.method=unsafe-none")
        done = srbuild("build", *chosen, *beside, "--sysroot", tree, "-o", "image")
        assert done.code == 4, done.err
    else:
        # It goes together, and only what this tree lacks keeps it from being built.
        assert done.code == 4, done.err
        assert "exclude each other" not in done.err
    assert not Path("image").exists()


@pytest.mark.parametrize(
    ("words", "text", "code", "said"),
    [
        (["--module", "xfs"], cluster("ext4", 1), 5, ["both mount the root", "leave out one of"]),
        (["--module", "gfs2"], cluster("ext4", 1), 5, ["ext4 and gfs2 exclude each other"]),
        ([], cluster("ext4"), 5, ["two nodes that write to one ext4 destroy it", "overlay = true"]),
        ([], cluster("xfs"), 5, ["overlay = true in [fs]"]),
        ([], cluster("btrfs"), 5, ["overlay = true in [fs]"]),
        ([], cluster("gfs2"), 3, ["agent", "[fence]"]),
        ([], cluster("gfs"), 4, ["gfs2_convert"]),
        (["--module", "corosync"], cluster("gfs"), 5, ["cman and corosync exclude each other"]),
        ([], cluster("ocfs"), 3, ["ocfs needs [node.ocfs] guid"]),
        ([], cluster("vxcfs", more='diskgroup = "g"\nvolume = "v"\n'), 3, ["cluster_id"]),
        ([], cluster("vmfs", more='options = "rw"\n'), 3, ["only reads"]),
        ([], cluster("nfs", 1), 5, ["nfs and scsi exclude each other", "leave --blk out"]),
        ([], cluster("ext4", 1, more="[dlm]\ntimeout = 9\n"), 3, ["not in this image"]),
        ([], cluster("gfs2", block=MIRROR.format("false"), more=FENCE), 5, ["with one primary"]),
        ([], cluster("gfs", block=MIRROR.format("false")), 5, ["with one primary"]),
        (PCMK, cluster("ocfs2", block=MIRROR.format("false"), more=FENCE), 5, ["with one primary"]),
        ([], cluster("ext4", block=MIRROR.format("true")), 5, ["two primaries would write"]),
        (["--module", "luks"], cluster("ext4", 1), 3, ["no boot module 'luks'"]),
    ],
)  # fmt: skip
def test_what_else_is_refused(
    srbuild: Callable[..., Done],
    tree: Path,
    words: list[str],
    text: str,
    code: int,
    said: list[str],
) -> None:
    Path("cluster.toml").write_text(text)
    blk, fs = re.findall(r'^type = "(.*)"$', text, re.MULTILINE)
    job = ["--fs", fs, "--blk", blk, "--cluster", "cluster.toml", "--sysroot", str(tree)]
    done = srbuild("build", *job, *words, "-o", "image")
    assert done.code == code, done.err
    for word in said:
        assert word in done.err
    assert not Path("image").exists()


@pytest.mark.parametrize("fs", ["ext4", "xfs", "btrfs"])
def test_an_overlay_lets_nodes_share_what_nobody_writes_to(
    srbuild: Callable[..., Done], tree: Path, fs: str
) -> None:
    Path("cluster.toml").write_text(cluster(fs, more="overlay = true\n"))
    job = ["--fs", fs, "--blk", "scsi", "--cluster", "cluster.toml", "--sysroot", str(tree)]
    done = srbuild("build", *job, "-o", "image")
    assert done.code == 4  # for what the tree lacks
    assert "the cluster has 2" not in done.err


def test_the_page_says_the_same() -> None:
    page = Path(__file__).resolve().parents[2] / "docs/combinations.md"
    assert page.read_text() == combinations_page(CATALOG), "run: make docs"
