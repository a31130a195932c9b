"""Fencing as the cluster file has it: what is asked for, brought in, rendered and kept secret."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from srbuild import pipeline
from srbuild.config.load import load_config
from srbuild.errors import ConfigError, SrbuildError
from srbuild.paths import ImagePath, data_dir
from srbuild.plan import Plan, make_plan
from srbuild.render import RenderedFile, render_site
from support.corosync import corosync_test
from support.shells import SHELLS

DEVICES = "/etc/srbuild/fence.devices"
SECRETS = ("secret of n1", "secret of n2", "backup secret")
NODES = """\
name = "lab"
[block]
type = "iscsi"
portal = ["10.9.0.1:3260"]
target = "iqn.2026-01.lab:root"
[fs]
type = "gfs2"
[container]
type = "none"
[fence]
method = "agent"
"""
N1 = f"""\
[[node]]
name = "n1"
id = 1
address = "10.9.0.21/24"
[node.iscsi]
initiator = "iqn.2026-01.lab:n1"
[node.fence]
agent = "ipmi"
address = ["10.9.1.21"]
user = "fencer"
secret = "{SECRETS[0]}"
"""
N2 = f"""\
[[node]]
name = "n2"
id = 2
address = "10.9.0.22/24"
[node.iscsi]
initiator = "iqn.2026-01.lab:n2"
[node.fence]
agent = "apc"
address = ["pdu1", "pdu2:23"]
plug = ["7", "8"]
secret = "{SECRETS[1]}"
args = ["ssh=1"]
action = "off"
backup_agent = "ipmi"
backup_address = "10.9.1.22"
backup_secret = "{SECRETS[2]}"
"""
Make = Callable[..., Plan]


@pytest.fixture
def plan(tmp_path: Path) -> Make:
    def make(text: str, **options: object) -> Plan:
        path = tmp_path / "cluster.toml"
        path.write_text(text)
        catalog = pipeline.find_modules()
        config = load_config({"cluster": path, **options}, {}, catalog)
        return make_plan(config, catalog, pipeline.find_spine())

    return make


def site(plan: Plan) -> dict[str, RenderedFile]:
    return {str(file.target): file for file in render_site(plan)}


def text_of(plan: Plan, path: str) -> str:
    return site(plan)[path].data.decode()


def names(plan: Plan) -> set[str]:
    return {module.name for module in plan.modules}


def test_the_agents_that_nodes_name_are_brought_in(plan: Make) -> None:
    found = names(plan(NODES + N1 + N2))
    assert {"fence-ipmi", "fence-ssh", "fence-python"} <= found
    assert not {"fence-lab", "fence-sbd", "fence-redfish"} & found


def test_a_family_agents_underscores_are_taken(plan: Make) -> None:
    text = NODES + N1.replace('"ipmi"', '"ilo5_ssh"') + N2
    assert "fence-ssh" in names(plan(text))


def test_an_agent_that_nobody_offers_is_refused_with_all_there_are(plan: Make) -> None:
    with pytest.raises(ConfigError) as caught:
        plan(NODES + N1.replace('"ipmi"', '"ipmy"') + N2)
    text = str(caught.value)
    assert "no boot module is for agent = 'ipmy'" in text
    assert "node[0].fence.agent" in text
    for known in ("ipmi", "sbd", "apc", "redfish"):
        assert known in (caught.value.hint or "")


def test_a_node_without_a_device_is_named(plan: Make) -> None:
    n3 = '[[node]]\nname = "n3"\nid = 3\n[node.iscsi]\ninitiator = "iqn.2026-01.lab:n3"\n'
    with pytest.raises(SrbuildError) as caught:
        plan(NODES + N1 + N2 + n3)
    assert caught.value.exit_code == 3
    assert "n3 needs [node.fence] agent" in str(caught.value)
    assert "n1" not in str(caught.value)


def test_one_agent_for_all_nodes_is_enough(plan: Make) -> None:
    text = NODES.replace('"agent"', '"agent"\nagent = "ipmi"') + N1.replace('agent = "ipmi"\n', "")
    assert "fence-ipmi" in names(plan(text + N2))


def test_unsafe_none_and_one_node_need_no_device(plan: Make) -> None:
    bare = N1.partition("[node.fence]")[0] + N2.partition("[node.fence]")[0]
    unsafe = plan(NODES.replace('"agent"', '"unsafe-none"') + bare)
    assert "enable_fencing=0" in text_of(unsafe, "/etc/dlm/dlm.conf")
    assert DEVICES not in site(unsafe)
    alone = plan(NODES.replace('[fence]\nmethod = "agent"\n', "") + N1.partition("[node.fence]")[0])
    assert "enable_fencing=0" in text_of(alone, "/etc/dlm/dlm.conf")


def test_a_device_without_an_agent_is_a_slip(plan: Make) -> None:
    with pytest.raises(SrbuildError) as caught:
        plan(NODES + N1 + N2.replace('backup_agent = "ipmi"\n', ""))
    assert "backup_agent" in str(caught.value)


def test_the_lock_manager_fences_by_the_table_of_devices(plan: Make) -> None:
    found = plan(NODES + N1 + N2)
    lines = text_of(found, "/etc/dlm/dlm.conf").splitlines()
    assert "enable_fencing=1" in lines
    assert "enable_startup_fencing=1" in lines
    assert "fence_all /usr/lib/srbuild/modules/fence/node.sh" in lines
    rows = text_of(found, DEVICES).splitlines()
    assert [row for row in rows if not row.startswith("#")] == [
        "1 0 0 name=n1",
        "1 0 0 action=reboot",
        "1 0 0 delay=5",
        "1 0 0 unfence=no",
        "1 1 1 agent=ipmi",
        "1 1 1 ip=10.9.1.21",
        "1 1 1 username=fencer",
        "1 1 1 password=secret of n1",
        "2 0 0 name=n2",
        "2 0 0 action=off",
        "2 0 0 delay=0",
        "2 0 0 unfence=no",
        "2 1 1 agent=apc",
        "2 1 1 ip=pdu1",
        "2 1 1 plug=7",
        "2 1 1 password=secret of n2",
        "2 1 1 ssh=1",
        "2 1 2 agent=apc",
        "2 1 2 ip=pdu2:23",
        "2 1 2 plug=8",
        "2 1 2 password=secret of n2",
        "2 1 2 ssh=1",
        "2 2 1 agent=ipmi",
        "2 2 1 ip=10.9.1.22",
        "2 2 1 password=backup secret",
    ]


def test_a_delay_of_ones_own_is_kept(plan: Make) -> None:
    rows = text_of(plan(NODES + N1 + N2 + "delay = 9\n"), DEVICES).splitlines()
    assert {"1 0 0 delay=0", "2 0 0 delay=9"} <= {*rows}


def test_one_address_serves_several_outlets(plan: Make) -> None:
    text = NODES + N1 + N2.replace('["pdu1", "pdu2:23"]', '"pdu1"')
    rows = text_of(plan(text), DEVICES).splitlines()
    assert {"2 1 1 ip=pdu1", "2 1 1 plug=7", "2 1 2 ip=pdu1", "2 1 2 plug=8"} <= {*rows}


def test_the_secrets_are_the_clusters_and_stand_in_one_file_for_root(plan: Make) -> None:
    files = site(plan(NODES + N1 + N2))
    assert (files[DEVICES].mode, files[DEVICES].secret) == (0o600, True)
    for path, file in files.items():
        if path != DEVICES:
            assert not [one for one in SECRETS if one.encode() in file.data], path


def test_what_is_not_shared_is_no_part_of_a_node(plan: Make) -> None:
    """Any module may stand in such a cluster, whatever its options mean to each other."""
    catalog = pipeline.find_modules()
    nodes = 'name = "lab"\n[[node]]\nname = "n1"\nid = 1\n'
    shown = set()
    for module in (*catalog.of_kind("fs"), *catalog.of_kind("block")):
        wanted = [module.name, *(["scsi"] if "block" in module.requires else [])]
        try:
            if site(plan(nodes, modules=wanted)):
                shown.add(module.name)
        except SrbuildError:
            continue  # it needs more than its name
    assert {"cifs", "ext4", "nfs", "scsi"} <= shown


def test_a_nodes_own_secrets_are_still_refused(plan: Make) -> None:
    chap = 'chap_user = "u"\nchap_secret = "0123456789ab"\n[node.fence]\n'
    text = NODES + N1.replace("[node.fence]\n", chap) + N2.replace("[node.fence]\n", chap)
    with pytest.raises(SrbuildError) as caught:
        render_site(plan(text))
    assert caught.value.exit_code == 5


def test_the_agents_script_is_in_the_image(plan: Make) -> None:
    targets = {getattr(request, "target", None) for request in plan(NODES + N1 + N2).requests}
    for path in ("fence-ipmi/agent.sh", "fence/node.sh", "fence/devices.sh"):
        assert ImagePath(f"/usr/lib/srbuild/modules/{path}") in targets


@pytest.mark.parametrize(
    ("count", "options", "lines"),
    [
        (2, "", {"two_node: 1", "wait_for_all: 1", "expected_votes: 2"}),
        (2, "auto_tie_breaker = true", {"auto_tie_breaker: 1", "auto_tie_breaker_node: lowest"}),
        (2, "wait_for_all = false", {"two_node: 1", "wait_for_all: 0"}),
        (3, "", {"expected_votes: 3", "wait_for_all: 0"}),
        (3, "wait_for_all = true", {"expected_votes: 3", "wait_for_all: 1"}),
        (3, "last_man_standing = true", {"last_man_standing: 1"}),
        (
            4,
            "last_man_standing = true\nauto_tie_breaker = true\nwait_for_all = false",
            {"last_man_standing: 1", "auto_tie_breaker: 1", "wait_for_all: 0"},
        ),
    ],
)
def test_corosync_takes_every_policy_of_quorum(
    plan: Make, sysroot: Path, tmp_path: Path, count: int, options: str, lines: set[str]
) -> None:
    nodes = "".join(
        f'[[node]]\nname = "n{n}"\nid = {n}\naddress = "127.0.0.{n}/8"\n'
        for n in range(1, count + 1)
    )
    text = 'name = "lab"\n[fence]\nmethod = "unsafe-none"\n[corosync]\n'
    found = plan(f"{text}{options}\n{nodes}", modules=["dlm"])
    rendered = text_of(found, "/etc/corosync/corosync.conf")
    assert lines <= {line.strip() for line in rendered.splitlines()}
    assert ("two_node" in rendered) is (count == 2 and "tie" not in options)
    conf = tmp_path / "corosync.conf"
    own = f"system {{\n    state_dir: {tmp_path}\n}}\n"  # for the tests' user
    conf.write_text(own + rendered.replace("/var/log/corosync/corosync.log", f"{tmp_path}/log"))
    done = corosync_test(sysroot, conf)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("voters", [1, 2, 3])
def test_spares_without_a_vote_are_not_counted(
    plan: Make, sysroot: Path, tmp_path: Path, voters: int
) -> None:
    nodes = "".join(
        f'[[node]]\nname = "n{n}"\nid = {n}\naddress = "127.0.0.{n}/8"\n'
        + ("" if n <= voters else "[node.corosync]\nvotes = 0\n")
        for n in range(1, voters + 3)
    )
    found = plan(f'name = "lab"\n[fence]\nmethod = "unsafe-none"\n{nodes}', modules=["dlm"])
    rendered = text_of(found, "/etc/corosync/corosync.conf")
    assert rendered.count("quorum_votes: 0") == 2
    assert f"expected_votes: {voters}\n" in rendered
    assert "two_node" not in rendered  # which is for two nodes in all
    assert "wait_for_all: 0" in rendered
    conf = tmp_path / "corosync.conf"
    own = f"system {{\n    state_dir: {tmp_path}\n}}\n"
    conf.write_text(own + rendered.replace("/var/log/corosync/corosync.log", f"{tmp_path}/log"))
    done = corosync_test(sysroot, conf)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_cluster_without_any_vote_is_refused(plan: Make) -> None:
    node = (
        '[[node]]\nname = "n{0}"\nid = {0}\naddress = "127.0.0.{0}/8"\n[node.corosync]\nvotes = 0\n'
    )
    text = 'name = "lab"\n[fence]\nmethod = "unsafe-none"\n' + node.format(1) + node.format(2)
    with pytest.raises(SrbuildError, match="no node has a vote"):
        render_site(plan(text, modules=["dlm"]))


def test_corosync_is_no_pushover(sysroot: Path, tmp_path: Path) -> None:
    conf = tmp_path / "corosync.conf"
    own = f"system {{\n    state_dir: {tmp_path}\n}}\n"
    conf.write_text(f"{own}totem {{\n    version: 2\n    transport: pigeon\n}}\n")
    assert corosync_test(sysroot, conf).returncode != 0


@pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
@pytest.mark.parametrize(("count", "block"), [(1, 4096), (2, 4096), (3, 1024), (12, 4096)])
def test_the_journals_of_a_real_file_system_are_counted(
    tmp_path: Path, shell: tuple[str, ...], count: int, block: int
) -> None:
    disk = tmp_path / "disk"
    with disk.open("wb") as file:
        file.truncate(256 << 20)
    make = ["mkfs.gfs2", "-O", "-q", "-b", str(block), "-p", "lock_dlm", "-t", "lab:root"]
    subprocess.run([*make, "-j", str(count), "-J", "8", disk], check=True, capture_output=True)
    library = data_dir() / "modules/fs/gfs2/disk.sh"
    script = f". {library}; count_journals {disk}"
    done = subprocess.run([*shell, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == f"{count}\n"


def test_a_torn_file_system_has_no_number_of_journals(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    library = data_dir() / "modules/fs/gfs2/disk.sh"
    for data in (b"", bytes(1 << 20), b"\xff" * (1 << 20)):
        disk.write_bytes(data)
        script = f". {library}; count_journals {disk} && echo counted"
        done = subprocess.run(["dash", "-c", script], capture_output=True, text=True, check=False)
        assert done.stdout == ""
