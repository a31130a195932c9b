"""What a boot module says for the case that the sysroot lacks what it names: its own way out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from srbuild.errors import ConfigError, MissingInputError, SrbuildError
from support.commands import Done
from support.kernels import VERSION, FakeKmod, depmod, make_kernel
from support.plans import Project, furnish
from support.trees import Tree

NODES = """
[[node]]
name = "n1"
id = 1
mac = ["52:54:00:00:00:01", "52:54:00:00:01:01"]
address = "10.9.0.21/24"
[[node]]
name = "n2"
id = 2
mac = ["52:54:00:00:00:02"]
address = "10.9.0.22/24"
"""
HEAD = 'name = "lab"\n[block]\ntype = "scsi"\ndevice = "LABEL=root"\n'
CLUSTERS = {
    "gfs": f'{HEAD}[fs]\ntype = "gfs"\n{NODES}',
    "ocfs": f'{HEAD}[fs]\ntype = "ocfs"\nguid = "C0FFEE"\n{NODES}',
    "vxcfs": f'{HEAD}[fs]\ntype = "vxcfs"\ndiskgroup = "dg"\nvolume = "root"\n'
    f"[infoscale]\ncluster_id = 7\n{NODES}",
}  # fmt: skip


@pytest.fixture
def tree(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A tree with stand-ins for all that the file system's module, and the others, name."""
    return furnish(Tree(tmp_path / "root"), request.param, "scsi", "none")


def build(srbuild: Callable[..., Done], fs: str, tree: Path) -> Done:
    Path("cluster.toml").write_text(CLUSTERS[fs])
    words = ("--fs", fs, "--blk", "scsi", "--container", "none", "--sysroot", tree)
    return srbuild(*words, "--cluster", "cluster.toml", "-o", "image")


@pytest.mark.parametrize(
    ("tree", "fs", "held"),
    [
        ("gfs", "gfs", ["gfs.ko", "usr/sbin/gfs_controld", "etc/cluster/cluster.conf"]),
        ("ocfs", "ocfs", ["ocfs.ko", "usr/sbin/load_ocfs"]),
        ("vxcfs", "vxcfs", ["vxglm.ko", "llt.ko", "opt/VRTS/bin/fsclustadm", "etc/llthosts"]),
    ],
    indirect=["tree"],
)
def test_with_everything_there_the_image_is_built(
    srbuild: Callable[..., Done], tree: Path, fs: str, held: list[str]
) -> None:
    done = build(srbuild, fs, tree)
    assert done.code == 0, done.err
    listed = srbuild("list", "image").out
    for name in held:
        assert name in listed


@pytest.mark.parametrize(
    ("tree", "fs", "lost", "words"),
    [
        ("gfs", "gfs", "gfs", ["gfs2_convert", "fsck.gfs2", "--fs gfs2"]),
        ("gfs", "gfs", "lock_dlm", ["gfs2_convert"]),
        ("ocfs", "ocfs", "ocfs", ["mkfs.ocfs2", "Linux 2.4 only", "--fs ocfs2"]),
        ("vxcfs", "vxcfs", "llt", ["VRTSllt", "depmod"]),
        ("vxcfs", "vxcfs", "vxglm", ["VRTSglm"]),
    ],
    indirect=["tree"],
)
def test_a_kernel_without_the_kmod(
    srbuild: Callable[..., Done], tree: Path, fs: str, lost: str, words: list[str]
) -> None:
    (tree / f"lib/modules/{VERSION}/kernel/drivers/{lost}.ko").unlink()
    depmod(tree)
    done = build(srbuild, fs, tree)
    assert done.code == 4
    assert f"kernel {VERSION} has no kmod, alias or built-in {lost}" in done.err
    assert done.err.count("error:") == 1, done.err
    for word in words:
        assert word in done.err.partition("hint: ")[2]
    assert not Path("image").exists()


@pytest.mark.parametrize(
    ("tree", "fs", "lost", "word"),
    [
        ("gfs", "gfs", "usr/sbin/mount.gfs", "RHEL 5"),
        ("gfs", "gfs", "usr/sbin/aisexec", "cman, openais"),
        ("gfs", "gfs", "etc/cluster/cluster.conf", "copy the cluster's own"),
        ("ocfs", "ocfs", "usr/sbin/load_ocfs", "ocfs-support"),
        ("vxcfs", "vxcfs", "sbin/gabconfig", "VRTSgab"),
        ("vxcfs", "vxcfs", "etc/vx/bin/vxclustadm", "VRTSvxvm"),
        ("vxcfs", "vxcfs", "etc/vxfentab", "coordinator disks"),
        ("vxcfs", "vxcfs", "etc/vx/licenses/lic/any", "licence"),
    ],
    indirect=["tree"],
)
def test_a_tree_without_the_file(
    srbuild: Callable[..., Done], tree: Path, fs: str, lost: str, word: str
) -> None:
    (tree / lost).unlink()
    done = build(srbuild, fs, tree)
    assert done.code == 4
    assert Path(lost).name.replace("any", "*") in done.err
    assert word in done.err.partition("hint: ")[2]


def test_what_the_nodes_of_veritas_get(tmp_path: Path) -> None:
    from srbuild.config.load import load_config
    from srbuild.pipeline import find_modules, find_spine
    from srbuild.plan import make_plan
    from srbuild.render import render_site

    path = tmp_path / "cluster.toml"
    path.write_text(CLUSTERS["vxcfs"])
    catalog = find_modules()
    config = load_config({"fs": "vxcfs", "blk": "scsi", "cluster": path}, {}, catalog)
    files = {str(f.target): f.data for f in render_site(make_plan(config, catalog, find_spine()))}
    assert files["/etc/llthosts"] == b"1 n1\n2 n2\n"
    assert files["/etc/vxfenmode"] == b"vxfen_mode=scsi3\nscsi3_disk_policy=dmp\n"
    table = (
        b"set-node n1\nset-cluster 7\nlink link1 eth-52:54:00:00:00:01 - ether - -\n"
        b"link link2 eth-52:54:00:00:01:01 - ether - -\n"
    )
    assert table in files["/etc/srbuild/nodes.d/n1.cpio"]
    assert table not in files["/etc/srbuild/nodes.d/n2.cpio"]


# --- the mechanism ----------------------------------------------------------------------------


def test_the_modules_word_comes_before_a_guess(tmp_path: Path) -> None:
    """Without it, the hint would be the kmod of a similar name."""
    project = Project(tmp_path)
    make_kernel(project.sysroot, [FakeKmod("kernel/fs/gfs2.ko")])
    install = '[install]\nkmods = ["gfs"]\n'
    project.module("fs", "plain", install)
    project.module("fs", "told", install + '[missing]\ngfs = "convert it"\n')
    for name, hint in (("plain", "gfs2"), ("told", "convert it")):
        with pytest.raises(SrbuildError) as caught:
            project.collect(modules=[name])
        assert isinstance(caught.value, MissingInputError)
        assert hint in caught.value.hint


def test_a_word_about_what_nobody_installs_is_a_slip(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.module("fs", "told", '[install]\nkmods = ["gfs"]\n[missing]\ngsf = "convert it"\n')
    with pytest.raises(ConfigError, match=r"\[install\] names no 'gsf'"):
        _ = project.catalog
