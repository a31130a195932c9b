"""The cluster file: what it says, every way in which it can be wrong, and what it must say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from srbuild.catalog import Catalog, load_catalog
from srbuild.config.cluster import Cluster, Node, check_required, load_cluster, read_cluster
from srbuild.config.convert import collect
from srbuild.errors import ConfigError, ErrorGroup, Origin, SrbuildError

# A shared machine may be slow: time is no reason to fail.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


MODULES = {
    "net/network": """
        [options.gateway]
        type = "ip"
        help = "the default route"
        [options.mtu]
        type = "int"
        help = "largest packet"
        scope = "node"
        """,
    "block/iscsi": """
        [options.portal]
        type = "endpoint"
        help = "where the target is"
        many = true
        required = "always"
        [options.target]
        type = "iqn"
        help = "the target's name"
        required = "always"
        [options.initiator]
        type = "iqn"
        help = "the node's own name"
        scope = "node"
        required = "always"
        [options.chap_secret]
        type = "word"
        help = "secret"
        secret = true
        scope = "node"
        """,
    "block/aoe": "",
    "fs/gfs2": """
        [options.options]
        type = "flags"
        help = "mount options"
        """,
    "container/none": 'provides = ["container"]',
    "cluster/corosync": """
        [options.wait_for_all]
        type = "bool"
        help = "whether to wait"
        """,
    "cluster/fence": """
        [options.method]
        type = "enum"
        help = "how to fence"
        choices = ["ipmi", "unsafe-none"]
        required = "several-nodes"
        reason = "several nodes on a lock manager need fencing"
        """,
}

LAB = """
name = "lab"
[network]
gateway = "10.9.0.254"
[block]
type = "iscsi"
portal = ["10.9.0.1:3260", "[FD00::1]:3260"]
target = "iqn.2026-01.lab:root"
[fs]
type = "gfs2"
options = "noatime, discard"
[container]
type = "none"
[corosync]
wait_for_all = true
[fence]
method = "unsafe-none"
[[node]]
name = "n1"
id = 1
mac = ["52-54-00-00-00-0A"]
address = "10.9.0.21/24"
[node.iscsi]
initiator = "iqn.2026-01.lab:n1"
chap_secret = "s3cr3t-of-n1"
[[node]]
name = "n2"
id = 2
mac = "5254.0000.000b"
[node.iscsi]
initiator = "iqn.2026-01.lab:n2"
[node.network]
mtu = 9000
"""


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    root = tmp_path_factory.mktemp("modules")
    for place, text in MODULES.items():
        kind, name = place.split("/")
        folder = root / place
        folder.mkdir(parents=True)
        head = f'name = "{name}"\nkind = "{kind}"\nsummary = "s"\n'
        (folder / "module.toml").write_text(head + text)
    return load_catalog([root])


@pytest.fixture
def load(tmp_path: Path, catalog: Catalog):
    def load(text: str) -> Cluster:
        path = tmp_path / "cluster.toml"
        path.write_text(text)
        return load_cluster(path, catalog)

    return load


def messages(caught: pytest.ExceptionInfo[SrbuildError]) -> list[str]:
    error = caught.value
    found = error.errors if isinstance(error, ErrorGroup) else (error,)
    assert error.exit_code == 3
    return [re.split(r"cluster\.toml(?::[0-9]+)?: ", str(one), maxsplit=1)[1] for one in found]


def test_a_cluster_is_read_whole(tmp_path: Path, load) -> None:
    assert load(LAB) == Cluster(
        name="lab",
        nodes=(
            Node(
                "n1",
                1,
                ("52:54:00:00:00:0a",),
                "10.9.0.21/24",
                {
                    "iscsi": {
                        "initiator": ("iqn.2026-01.lab:n1",),
                        "chap_secret": ("s3cr3t-of-n1",),
                    }
                },
            ),
            Node(
                "n2",
                2,
                ("52:54:00:00:00:0b",),
                None,
                {"iscsi": {"initiator": ("iqn.2026-01.lab:n2",)}, "network": {"mtu": ("9000",)}},
            ),
        ),
        block="iscsi",
        fs="gfs2",
        container="none",
        values={
            "network": {"gateway": ("10.9.0.254",)},
            "iscsi": {
                "portal": ("10.9.0.1:3260", "[fd00::1]:3260"),
                "target": ("iqn.2026-01.lab:root",),
            },
            "gfs2": {"options": ("noatime,discard",)},
            "none": {},
            "corosync": {"wait_for_all": ("1",)},
            "fence": {"method": ("unsafe-none",)},
        },
        origin=Origin(str(tmp_path / "cluster.toml")),
    )


def test_secrets_do_not_show_in_a_repr(load) -> None:
    assert "s3cr3t" not in repr(load(LAB))


def test_the_modules_with_tables_are_listed(load) -> None:
    assert load(LAB).modules == ("corosync", "fence", "gfs2", "iscsi", "network", "none")


def test_a_file_with_nodes_only_is_enough(load) -> None:
    cluster = load('name = "c"\n[[node]]\nname = "a"\nid = 1\n')
    assert (cluster.block, cluster.fs, cluster.container, cluster.values) == (None, None, None, {})
    assert cluster.nodes == (Node("a", 1),)


def test_options_may_stand_under_the_modules_own_name(load) -> None:
    text = (
        LAB.replace("[fs]\n", "[iscsi]\n[fs]\n")
        .replace("target = ", "#")
        .replace("[iscsi]\n", '[iscsi]\ntarget = "iqn.2026-01.lab:other"\n', 1)
    )
    assert load(text).values["iscsi"]["target"] == ("iqn.2026-01.lab:other",)


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ('name = "lab"', "", "name: missing"),
        ('name = "lab"', 'name = "a:b"', "name: 'a:b' must be 1 to 32 letters"),
        ('name = "lab"', f'name = "{"a" * 33}"', "must be 1 to 32 letters"),
        ('name = "lab"', "name = 1", "name: 1 must be"),
        ("gateway =", "gatway =", "network.gatway: unknown option of network 'gatway'\n  hint"),
        ("10.9.0.254", "10.9.0.999", "network.gateway: '10.9.0.999' is not an IPv4 or IPv6 addr"),
        ("[FD00::1]:3260", "[FD00::1]:0", "block.portal[1]: "),
        ('"iscsi"', '"isci"', "block.type: no block device module 'isci'; known: aoe, iscsi\n"),
        ('type = "iscsi"', "", "block.type: missing\n  hint: one of: aoe, iscsi"),
        ('type = "iscsi"', 'type = "gfs2"', "hint: gfs2 is a file system module"),
        ('type = "iscsi"', "type = 1", "block.type: must be a string, not a whole number"),
        ("[corosync]", "[corosinc]", "corosinc: unknown table 'corosinc'\n  hint: did you mean"),
        ("[corosync]\nwait_for_all = true", "[aoe]\nx = 1", "aoe.x: unknown option of aoe 'x'"),
        ("wait_for_all = true", 'wait_for_all = "perhaps"', "corosync.wait_for_all: 'perhaps' is"),
        ("unsafe-none", "none", "fence.method: 'none' is not one of ipmi, unsafe-none"),
        ("noatime, discard", "noatime,,discard", "fs.options: "),
        ('name = "n1"', 'name = "N1"', "node[0].name: 'N1' must be a host name"),
        ('name = "n1"', 'name = "../n1"', "node[0].name: '../n1' must be a host name"),
        ('name = "n1"', 'name = "n1\\n"', r"node[0].name: 'n1\n' must be a host name"),
        ('name = "n1"', 'nam = "n1"', "node[0].nam: unknown key 'nam'\n  hint: did you mean 'name"),
        ("id = 1", "id = 0", "node[0].id: must be a whole number from 1 to 2147483647"),
        ("id = 1", "id = true", "node[0].id: must be a whole number from 1"),
        ("id = 1", "", "node[0].id: missing"),
        ("0A", "0G", "node[0].mac[0]: '52-54-00-00-00-0G' is not a MAC address"),
        ("5254.0000.000b", "525400", "node[1].mac[0]: '525400' is not a MAC address"),
        ("10.9.0.21/24", "10.9.0.21", "node[0].address: '10.9.0.21' is not an address with its"),
        ("id = 2", "id = 1", "node[1].id: the id 1 is already that of node[0].id"),
        ('name = "n2"', 'name = "n1"', "node[1].name: the name n1 is already that of node[0].name"),
        ("000b", "000a", "node[1].mac[0]: the MAC 52:54:00:00:00:0a is already that of node[0]"),
        ("id = 2", 'id = 2\naddress = "10.9.0.21/16"', "node[1].address: the address 10.9.0.21 is"),
        ('["52-54-00-00-00-0A"]', '["525400000001", "525400000001"]', "node[0].mac[1]: the MAC"),
        (":n2", ":N1", "node[1].iscsi.initiator: iqn.2026-01.lab:n1 is already that of node[0].is"),
        ("target =", 'initiator = "iqn.2026-01.lab:x"\ntarget =', "block.initiator: would be the"),
        ("mtu = 9000", 'gateway = "10.9.0.1"', "node[1].network.gateway: is the same on all nodes"),
        ("[node.network]", "[node.netwrk]", "node[1].netwrk: unknown key 'netwrk'\n  hint: did"),
        ("[node.network]", "[node.block]", "node[1].block: unknown key 'block'\n  hint: a node's"),
        ("id = 1", "id = 1\nnetwork = 1", "node[0].network: must be a table of options of networ"),
        ("[corosync]\nwait_for_all = true", "", ""),
    ],
)  # fmt: skip
def test_mistakes_are_named(load, old: str, new: str, error: str) -> None:
    assert old in LAB
    text = LAB.replace(old, new, 1)
    if not error:
        assert "corosync" not in load(text).values
        return
    with pytest.raises(SrbuildError) as caught:
        load(text)
    assert any(message.startswith(error) or error in message for message in messages(caught))


def test_tables_that_are_none(load) -> None:
    for text, error in (
        ('name = "c"\n', "node: missing"),
        ('name = "c"\nnode = []\n', "node: must be at least one [[node]] table"),
        ('name = "c"\nnode = [1]\n', "node[0]: must be a table, not a whole number"),
        ('name = "c"\nnode = 3\n', "node: must be at least one [[node]] table"),
        ('name = "c"\nblock = "iscsi"\n', "block: must be a table, not a string"),
        ('name = "c"\nnetwork = 3\n', "network: must be a table of options of network, not a who"),
    ):
        with pytest.raises(SrbuildError) as caught:
            load(text)
        assert any(message.startswith(error) for message in messages(caught))


def test_an_option_in_both_tables_of_a_module_is_refused(load) -> None:
    text = LAB.replace("[corosync]", '[iscsi]\nportal = "10.9.0.9"\n[corosync]')
    with pytest.raises(ConfigError) as caught:
        load(text)
    assert messages(caught) == ["iscsi.portal: is also set in [block]\n  hint: drop one of them"]


def test_all_mistakes_come_at_once(load) -> None:
    text = LAB.replace("gateway", "gatway").replace("0A", "0G").replace("id = 2", "id = 0")
    with pytest.raises(ErrorGroup) as caught:
        load(text.replace("[corosync]", "[corosinc]"))
    keys = [message.partition(":")[0] for message in messages(caught)]
    assert keys == ["corosinc", "network.gatway", "node[0].mac[0]", "node[1].id"]


def test_a_wrong_secret_is_not_shown(load) -> None:
    with pytest.raises(ConfigError) as caught:
        load(LAB.replace("s3cr3t-of-n1", "hun ter2"))
    assert messages(caught) == [
        "node[0].iscsi.chap_secret: not valid (the value is secret and not shown)"
    ]


def test_syntax_errors_name_the_line(load) -> None:
    with pytest.raises(ConfigError) as caught:
        load(LAB.replace("id = 1\n", "id = = 1\n"))
    assert messages(caught)[0].startswith("line 20, column 6: not TOML")


def required(catalog: Catalog, cluster: Cluster, names: list[str]) -> list[str]:
    errors: list[SrbuildError] = []
    with collect(errors):
        check_required([catalog.module(name) for name in names], cluster)
    return [str(error).partition("cluster.toml: ")[2] for error in errors]


def test_a_whole_file_lacks_nothing(load, catalog: Catalog) -> None:
    assert required(catalog, load(LAB), ["iscsi", "gfs2", "fence", "corosync"]) == []


def test_several_nodes_need_fencing_and_are_told_why(load, catalog: Catalog) -> None:
    cluster = load(LAB.replace('[fence]\nmethod = "unsafe-none"', ""))
    (error,) = required(catalog, cluster, ["fence"])
    assert error.splitlines() == [
        "fence.method: 2 nodes need [fence] method: several nodes on a lock manager need fencing",
        "  hint: set method in [fence] to one of: ipmi, unsafe-none",
    ]


def test_one_node_needs_no_fencing(load, catalog: Catalog) -> None:
    cluster = load('name = "c"\n[[node]]\nname = "a"\nid = 1\n')
    assert required(catalog, cluster, ["fence"]) == []


def test_everything_missing_comes_at_once(load, catalog: Catalog) -> None:
    cluster = load(LAB.replace("target = ", "#").replace('initiator = "iqn.2026-01.lab:n2"', ""))
    found = required(catalog, cluster, ["iscsi"])
    assert [line for error in found for line in error.splitlines()] == [
        "block.target: iscsi needs [block] target: the target's name",
        "  hint: set target in [block] to a value of type iqn",
        "block.initiator: n2 needs [node.iscsi] initiator: the node's own name",
        "  hint: set initiator in [node.iscsi] to a value of type iqn",
    ]


def test_an_empty_list_is_no_value(load, catalog: Catalog) -> None:
    cluster = load(LAB.replace('["10.9.0.1:3260", "[FD00::1]:3260"]', "[]"))
    assert [text[:12] for text in required(catalog, cluster, ["iscsi"])] == ["block.portal"]


def test_a_recipe_may_give_what_is_required(load, catalog: Catalog) -> None:
    cluster = load(LAB.replace("target = ", "#"))
    recipe = {"iscsi": {"target": ("iqn.2026-01.lab:root",)}}
    check_required([catalog.module("iscsi")], cluster, recipe)


words = st.sampled_from(
    ["name", "id", "mac", "address", "node", "block", "fs", "type", "iscsi", "gfs2", "network",
     "portal", "initiator", "gateway", "method", "fence", "10.9.0.1/24", "52:54:00:00:00:01", "x"]
)  # fmt: skip
trees = st.recursive(
    words | st.integers(-1, 3) | st.sampled_from([True, 1.5, "\n", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
    max_leaves=8,
)


@unhurried
@given(st.dictionaries(words, trees, max_size=5))
def test_any_table_is_a_cluster_or_config_errors(
    catalog: Catalog, table: dict[str, object]
) -> None:
    errors: list[SrbuildError] = []
    cluster = None
    with collect(errors):
        cluster = read_cluster(table, "f", catalog)
    assert (cluster is None) == bool(errors)
    assert all(type(error) is ConfigError for error in errors)
