"""`srbuild local` on a node that runs from the shared root: its own files are bound over."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.localroot import call, make_root
from support.sharedroot import UNSHARE, can_mount

pytestmark = pytest.mark.skipif(not can_mount(), reason="no mount namespaces here")
SRBUILD = str(Path(sys.executable).parent / "srbuild")
BIND = """
cd "$1"
for path in etc/hostname etc/machine-id etc/ssh/ssh_host_rsa_key var/log; do
    mount --bind ".srbuild/nodes/n1/$path" "$path" || exit 99
done
shift
exec "$@"
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = make_root(tmp_path / "root")
    call(made, "init")
    call(made, "add-node", "n1")
    own = made / ".srbuild/nodes/n1"
    (own / "etc/ssh/ssh_host_rsa_key").write_text("key of n1\n")
    (own / "var/log/audit").mkdir(exist_ok=True)
    (own / "var/log/audit/first").write_text("audit of n1\n")
    return made


def live(root: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    """Run a command where the node's own are bound over, as on the node n1."""
    return subprocess.run(
        [*UNSHARE, "sh", "-c", BIND, "sh", str(root), *argv],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@pytest.mark.skipif(os.geteuid() != 0, reason="takes CAP_SYS_ADMIN outside of a user namespace")
def test_what_is_below_the_nodes_own_is_seen(root: Path) -> None:
    at = ("--root", str(root))
    for words in (["check"], ["add-node", "n2"], ["share", "/var/log/audit"], ["check"]):
        done = live(root, SRBUILD, "local", words[0], *at, *words[1:])
        assert done.returncode == 0, done.stdout + done.stderr
    key = root / ".srbuild/nodes/n2/etc/ssh/ssh_host_rsa_key"
    assert key.read_text() == "key\n"
    assert (root / ".srbuild/shared/var/log/audit/first").read_text() == "audit\n"
    assert not (root / ".srbuild/nodes/n2/var/log/syslog").exists()


def test_without_the_power_to_look_below_it_is_refused(root: Path) -> None:
    weak = ("setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin")
    done = live(root, *weak, SRBUILD, "local", "check", "--root", str(root))
    assert done.returncode == 5
    assert "a node's own files over the shared ones" in done.stderr
    assert "mount --bind" in done.stderr
    assert "nothing to fight over" in call(root, "check")
