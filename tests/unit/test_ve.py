"""The container's settings: what [ve] takes, what it refuses, and what no two nodes may share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from srbuild.bootmodule import Option
from srbuild.config.load import load_config
from srbuild.errors import SrbuildError
from srbuild.pipeline import find_modules, find_spine
from srbuild.plan import make_plan
from srbuild.render import render_site

CATALOG = find_modules()
VE = CATALOG.modules["ve"]
CLUSTER = """\
name = "lab"
[block]
type = "scsi"
[fs]
type = "gfs2"
[fence]
method = "unsafe-none"
"""
NODE = '[[node]]\nname = "n{0}"\nid = {0}\naddress = "10.9.0.{0}/24"\n'


def site(folder: Path, ve: str = "", first: str = "", second: str = "") -> dict[str, str]:
    """The files that follow from a cluster file of two nodes: [ve], and each node's own."""
    text = f"{CLUSTER}[ve]\n{ve}\n"
    for number, own in ((1, first), (2, second)):
        text += NODE.format(number) + (f"[node.ve]\n{own}\n" if own else "")
    (folder / "cluster.toml").write_text(text)
    config = load_config(
        {"cluster": folder / "cluster.toml", "modules": ["ve"], "container": "none"}, {}, CATALOG
    )
    files = render_site(make_plan(config, CATALOG, find_spine()))
    return {file.target: file.data.decode("utf-8", "surrogateescape") for file in files}


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("physpages", "0:512M"),
        ("swappages", "unlimited"),
        ("kmemsize", "24M:26M"),
        ("numproc", "400:400"),
        ("cpumask", "0-3,6"),
        ("iolimit", "10M"),
        ("hostname", "web1.example.org"),
        ("ip_address", "10.9.9.9/24"),
        ("ip_address", "2001:db8::9/64"),
        ("nameserver", "inherit"),
        ("netif", "ifname=eth0,mac=00:18:51:00:00:01,host_ifname=veth101.0,bridge=br0"),
        ("capability", "NET_ADMIN:off"),
        ("features", "nfs:on"),
        ("devnodes", "net/tun:rw"),
        ("devices", "c:10:200:rw"),
        ("devices", "b:7:all:none"),
    ],
)
def test_what_is_taken(name: str, good: str) -> None:
    assert VE.options[name].parse(good) == good


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("physpages", "much"),
        ("physpages", "1G:2G:3G"),
        ("physpages", "-1"),
        ("numproc", "4K"),
        ("cpus", "0"),
        ("cpuunits", "7"),
        ("cpulimit", "-5"),
        ("cpumask", "0-"),
        ("cpumask", "0;reboot"),
        ("ioprio", "8"),
        ("hostname", "a b"),
        ("hostname", "$(reboot)"),
        ("hostname", '"; reboot; "'),
        ("hostname", "-n"),
        ("hostname", "a" * 65),
        ("ip_address", "10.9.9.256"),
        ("ip_address", "10.9.9.9/33"),
        ("ip_address", "1::2::3"),
        ("ip_address", ":::"),
        ("nameserver", "ns.example.org"),
        ("netif", "eth0"),
        ("netif", "ifname=eth0,script=/bin/sh"),
        ("netif", "ifname=$(id)"),
        ("netdev", "eth0/../eth1"),
        ("searchdomain", "exa`id`mple"),
        ("capability", "net_admin"),
        ("capability", "net_god:on"),
        ("features", "all:on"),
        ("devnodes", "../sda:rw"),
        ("devnodes", "net/../sda:rw"),
        ("devnodes", "tun:x"),
        ("devices", "c:10:200"),
        ("devices", "p:1:1:rw"),
    ],
)
def test_what_is_refused_names_the_form(name: str, bad: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(bad)[:20]) + "|is (less|more) than"):
        VE.options[name].parse(bad)


def test_options_are_named_as_in_ve_conf() -> None:
    assert all(
        option.variable("ve") == f"SR_VE_{name.upper()}" for name, option in VE.options.items()
    )
    assert not {"disabled", "onboot", "ve_root", "ve_private", "disk_quota"} & VE.options.keys()


def test_settings_reach_the_site_and_the_node(tmp_path: Path) -> None:
    found = site(tmp_path, 'physpages = "0:1G"\nsearchdomain = ["example.org"]', 'hostname = "c1"')
    assert "SR_VE_PHYSPAGES=0:1G\n" in found["/etc/srbuild/site.values"]
    assert "SR_VE_HOSTNAME=c1\n" in found["/etc/srbuild/nodes.d/n1.cpio"]
    assert "SR_VE_HOSTNAME" not in found["/etc/srbuild/nodes.d/n2.cpio"]
    assert not {"/etc/srbuild/ve.check", "/etc/srbuild/ve.limits"} & found.keys()


@pytest.mark.parametrize(
    ("ve", "first", "second", "why"),
    [
        ('ip_address = ["10.9.9.9"]', "", "", "10.9.9.9 is set for the containers of n1 and of n2"),
        ('hostname = "web"', "", "", "web is set for the containers of n1 and of n2"),
        ("", 'hostname = "web"', 'hostname = "WEB"', "is set for the containers"),
        (
            "",
            'netif = ["ifname=eth0,mac=00:18:51:aa:00:01"]',
            'netif = ["ifname=eth0,mac=00:18:51:AA:00:01"]',
            "00:18:51:aa:00:01 is set twice",
        ),
        ("", 'netif = ["ifname=eth0,mac=01:18:51:aa:00:01"]', "", "is one for groups"),
        ('physpages = "2G:1G"', "", "", "physpages = 2G:1G of n1 has a barrier above its limit"),
        ('numproc = "unlimited:5"', "", "", "barrier above"),
        ('physpages = "262145:1G"', "", "", "barrier above"),
    ],
)
def test_what_can_not_be(tmp_path: Path, ve: str, first: str, second: str, why: str) -> None:
    with pytest.raises(SrbuildError) as found:
        site(tmp_path, ve, first, second)
    assert why in str(found.value)


def test_pages_and_bytes_are_compared_as_they_are(tmp_path: Path) -> None:
    assert site(tmp_path, 'physpages = "262144:1G"\nkmemsize = "1024:1K"')


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(SrbuildError) as found:
        site(tmp_path, 'cpus = 0\nhostname = "a b"\nmemory = "1G"')
    assert {"ve.cpus", "ve.hostname", "ve.memory"} <= set(
        re.findall(r"ve\.[a-z]+", str(found.value))
    )


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"pattern": "a+"}, "go together"),
        ({"form": "an a"}, "go together"),
        ({"pattern": "(", "form": "an a"}, "no regular expression"),
        ({"pattern": "a+", "form": "an a", "cmdline": ("rd.a",)}, "not checked by a pattern"),
    ],
)
def test_a_pattern_is_whole_and_is_checked_where_it_counts(keys: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Option("letter", "word", "a letter", **keys)
