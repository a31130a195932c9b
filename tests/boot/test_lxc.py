"""The shared root in an LXC container, in virtual machines."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, cast

import pytest

from srbuild.lab.scenario import Result

pytestmark = [pytest.mark.boot, pytest.mark.timeout(900)]

Boot: TypeAlias = Callable[[str], Result]


def test_a_root_reboots_crashes_and_powers_off_in_its_container(boot: Boot) -> None:
    proof = boot("lxc-ext4").proof
    ends = cast("list[str]", proof["ends"])
    assert ends[1:] == [
        "reboot",
        "crash its init was ended by signal Killed(9)",
        "stopped by srctl",
    ]
    assert proof["fsck"] == 0


@pytest.mark.matrix
def test_debian_runs_in_its_container_on_nfs(boot: Boot) -> None:
    assert cast("dict[str, str]", boot("lxc-nfs-debian").proof["tokens"]).keys() == {"n1"}


@pytest.mark.matrix
def test_debian_on_gfs2_does_not_break_out(boot: Boot) -> None:
    found = cast("dict[str, str]", boot("lxc-gfs2-debian").proof["break-out"])
    assert {name for name, how in found.items() if how == "allowed"} <= {
        "fresh-proc",
        "remount-sys",
    }
    assert found["open-disk"] == found["mknod"] == found["modprobe"] == "refused"


@pytest.mark.matrix
@pytest.mark.parametrize("fs", ["gfs2", "ocfs2", "nfs", "glusterfs"])
def test_two_debians_on_one_root_are_two_hosts(boot: Boot, fs: str) -> None:
    proof = boot(f"lxc-{fs}-debian-pair").proof
    told = cast("dict[str, dict[str, str]]", proof["told"])
    assert told["n1"]["id"] != told["n2"]["id"]
    assert "own n2 etc/adjtime 0.0 0 0.0,n2," in cast("tuple[str, ...]", proof["own"])


@pytest.mark.matrix
@pytest.mark.parametrize("name", ["lxc-nfs-v1-veth", "lxc-nfs-hybrid-host", "lxc-ext4-shifted"])
def test_debian_runs_in_every_kind_of_container(boot: Boot, name: str) -> None:
    assert cast("dict[str, str]", boot(name).proof["tokens"]).keys() == {"n1"}
