"""What clusters a boot module can't serve is refused when the image is built."""

from __future__ import annotations

from pathlib import Path

import pytest

from srbuild.config.load import load_config
from srbuild.errors import ConfigError, ConflictError, ErrorGroup
from srbuild.pipeline import find_modules, find_spine
from srbuild.plan import Plan, make_plan
from support.plans import Project

NODE = '[[node]]\nname = "n{0}"\nid = {0}\nmac = ["52:54:00:00:00:0{0}"]\n'
ADDRESS = 'address = "10.9.0.{0}/24"\n'
CATALOG = find_modules()


def plan(
    folder: Path, fs: str, more: str = "", *, nodes: str = "", name: str = "lab", **options: object
) -> Plan:
    """The plan of an image for a cluster of srbuild's own modules; two nodes unless `nodes`."""
    nodes = nodes or "".join((NODE + ADDRESS).format(i) for i in (1, 2))
    text = f'name = "{name}"\n[block]\ntype = "scsi"\n[fs]\ntype = "{fs}"\n{more}\n{nodes}'
    (folder / "cluster.toml").write_text(text)
    wanted = {"cluster": folder / "cluster.toml", **options}
    return make_plan(load_config(wanted, {}, CATALOG), CATALOG, find_spine())


def names(found: Plan) -> set[str]:
    return {module.name for module in found.modules}


@pytest.mark.parametrize("fs", ["ext4", "xfs", "btrfs"])
def test_several_nodes_on_a_file_system_of_one(tmp_path: Path, fs: str) -> None:
    with pytest.raises(ConflictError, match="the cluster has 2: two nodes that write") as found:
        plan(tmp_path, fs)
    assert found.value.exit_code == 5
    assert found.value.hint == "set overlay = true in [fs]"


@pytest.mark.parametrize("fs", ["ext4", "xfs", "btrfs"])
def test_nobody_writes_below_an_overlay(tmp_path: Path, fs: str) -> None:
    assert fs in names(plan(tmp_path, fs, "overlay = true"))
    assert fs in names(plan(tmp_path, fs, set=(f"{fs}.overlay=true",)))
    with pytest.raises(ConflictError):
        plan(tmp_path, fs, "overlay = false", set=(f"{fs}.overlay=true",))


def test_one_node_has_its_own(tmp_path: Path) -> None:
    assert "ext4" in names(plan(tmp_path, "ext4", nodes=NODE.format(1)))


def test_o2cb_serves_what_it_can(tmp_path: Path) -> None:
    assert {"ocfs2", "o2cb", "scsi", "disks"} <= names(plan(tmp_path, "ocfs2"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "a-cluster"}, "takes no cluster called 'a-cluster'"),
        ({"name": "a" * 17}, "takes no cluster called"),
        ({"nodes": NODE.format(1)}, "needs an IPv4 address of n1"),
        ({"nodes": NODE.format(1) + 'address = "fd00::1/64"\n'}, "needs an IPv4 address of n1"),
        (
            {"nodes": (NODE + ADDRESS).format(1).replace("id = 1", "id = 255")},
            "takes no node number 255",
        ),
    ],
)
def test_o2cb_refuses_what_it_cannot(tmp_path: Path, given: dict[str, str], message: str) -> None:
    with pytest.raises(ConflictError, match=message) as found:
        plan(tmp_path, "ocfs2", **given)  # type: ignore[arg-type]
    assert found.value.hint


def test_all_that_is_beyond_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ErrorGroup) as found:
        plan(tmp_path, "ocfs2", name="a-cluster", nodes=NODE.format(1) + NODE.format(2))
    assert len(found.value.errors) == 3


@pytest.mark.parametrize(
    ("value", "message"),
    [("dead_threshold = 1", "less than 2"), ("idle_timeout_ms = 600001", "more than 600000")],
)
def test_a_number_out_of_range(tmp_path: Path, value: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan(tmp_path, "ocfs2", f"[o2cb]\n{value}")


def test_the_user_stack_takes_o2cbs_place(tmp_path: Path) -> None:
    fence = '[fence]\nmethod = "unsafe-none"'
    found = names(plan(tmp_path, "ocfs2", fence, modules=("ocfs2-pcmk",)))
    assert {"ocfs2-pcmk", "dlm", "corosync"} <= found
    assert "o2cb" not in found
    with pytest.raises(ConflictError, match="one cluster stack"):
        plan(tmp_path, "ocfs2", fence, modules=("ocfs2-pcmk", "o2cb"))


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ("nodes = 1", "a limit needs its reason"),
        ('nodes = 1\nunless = "o"\nreason = "r"', "there is no option 'o'"),
        ('cluster_name = "("\nreason = "r"', "no regular expression"),
    ],
)
def test_limits_that_mean_nothing(tmp_path: Path, limits: str, message: str) -> None:
    project = Project(tmp_path)
    project.module("fs", "one", f"[limits]\n{limits}\n")
    with pytest.raises(ConfigError, match=message):
        project.plan(modules=["one"])


@pytest.mark.parametrize("kind", ["word", "bool", "device"])
def test_only_numbers_have_a_least_and_a_most(tmp_path: Path, kind: str) -> None:
    project = Project(tmp_path)
    project.module("fs", "one", f'[options.o]\ntype = "{kind}"\nhelp = "h"\nleast = 1\n')
    with pytest.raises(ConfigError, match="least and most are for int and seconds"):
        project.plan(modules=["one"])


BESIDE = """
requires = ["core"]
{0}
[limits]
nodes = 1
{1}
reason = "it is so"
[options.version]
type = "enum"
help = "which"
choices = ["1", "2"]
default = "1"
"""


def limited(folder: Path, limit: str, block: str = "", provides: str = "") -> Plan:
    """The plan for two nodes of a file system with the `limit`, on what `provides`."""
    project = Project(folder)
    project.module("container", "none")
    project.module("fs", "file", BESIDE.format("", limit))
    project.module("block", "disk", f'requires = ["core"]\nprovides = ["block"{provides}]\n')
    nodes = "".join(NODE.format(i) for i in (1, 2))
    text = f'name = "lab"\n[block]\ntype = "disk"\n[fs]\ntype = "file"\n{block}\n{nodes}'
    return project.plan(cluster=project.cluster(text))


def test_a_limit_that_a_value_lifts(tmp_path: Path) -> None:
    limit = 'unless = "version=2"'
    assert limited(tmp_path, limit, 'version = "2"')
    for block in ("", 'version = "1"'):
        with pytest.raises(ConflictError) as found:
            limited(tmp_path, limit, block)
        assert found.value.hint == 'set version = "2" in [fs]'


def test_a_limit_that_another_module_lifts(tmp_path: Path) -> None:
    limit = 'beside = "one-at-a-time"'
    assert limited(tmp_path, limit, provides=', "one-at-a-time"')
    with pytest.raises(ConflictError, match="it is so"):
        limited(tmp_path, limit)


def test_a_lifting_option_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no option 'other'"):
        limited(tmp_path, 'unless = "other=2"')
