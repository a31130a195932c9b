"""Images from a tree of the RHEL family's layout (made here: see support/rhel.py)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from srbuild.cli.main import main
from srbuild.lab.build import find_kernel
from srbuild.lab.qemu import kernel_machine
from support.kernels import VERSION
from support.rhel import make_rhel

pytestmark = pytest.mark.skipif(
    not Path("/lib64/ld-linux-x86-64.so.2").exists(), reason="the tree is made with x86-64's loader"
)


def srbuild(*words: object) -> int:
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in words])
    return int(str(caught.value.code))


def build(root: Path, target: Path) -> int:
    argv = ("--fs", "gfs2", "--blk", "iscsi", "--sysroot", root, "-o", target, "--no-cache")
    return srbuild(*argv)


def test_an_image_is_built_and_verified(tmp_path: Path) -> None:
    make_rhel(tmp_path / "root")
    image = tmp_path / "rhel.img"
    assert build(tmp_path / "root", image) == 0
    assert srbuild("verify", image) == 0
    entries: dict[str, Any] = json.loads(Path(f"{image}.json").read_text())["entries"]
    files = {path for path, entry in entries.items() if entry["type"] == "file"}
    assert {
        "/usr/sbin/busybox",
        "/usr/sbin/iscsid",
        "/usr/lib64/ld-linux-x86-64.so.2",
        "/usr/lib64/libqb.so.100",
        "/usr/lib64/kronosnet/crypto_openssl.so",
        "/usr/lib64/glibc-hwcaps/x86-64-v3/libcrypto.so.3",
        "/opt/vendor/lib64/libvendor.so.1",
        f"/usr/lib/modules/{VERSION}/kernel/fs/gfs2/gfs2.ko",
        f"/usr/lib/modules/{VERSION}/kernel/fs/dlm/dlm.ko",
        f"/usr/lib/modules/{VERSION}/kernel/drivers/scsi/libiscsi.ko",
    } <= files
    assert not any(path.endswith(".xz") for path in files)
    assert entries["/lib64"]["target"] == "usr/lib64"


def test_the_kernel_is_found_beside_its_kmods(tmp_path: Path) -> None:
    make_rhel(tmp_path / "root")
    kernel = find_kernel(tmp_path / "root", VERSION)
    assert kernel == tmp_path / f"root/usr/lib/modules/{VERSION}/vmlinuz"
    assert kernel_machine(kernel) == "x86_64"


def test_what_is_absent_is_hinted_at_in_the_familys_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = make_rhel(tmp_path / "root", busybox=False)
    tree.path("/usr/sbin/iscsiadm").unlink()
    tree.path("/usr/lib64/libqb.so.100").unlink()
    text = tree.path(f"/usr/lib/modules/{VERSION}/modules.dep").read_text().splitlines()
    kept = [line for line in text if "gfs2" not in line]
    tree.file(f"/usr/lib/modules/{VERSION}/modules.dep", "\n".join(kept) + "\n")
    assert build(tmp_path / "root", tmp_path / "rhel.img") == 4
    said = capsys.readouterr().err
    hints = {
        "busybox is not in": "put a static one of the same architecture at /usr/sbin/busybox",
        "iscsiadm is not in": "install iscsi-initiator-utils in the sysroot",
        "libqb.so.100 is not in": "install corosync in the sysroot",
        "no kmod, alias or built-in gfs2": "install kernel-modules and kernel-modules-extra",
    }
    blocks = said.split("srbuild: error: ")
    for problem, hint in hints.items():
        (block,) = (block for block in blocks if problem in block)
        assert hint in block
    assert not (tmp_path / "rhel.img").exists()


@pytest.mark.parametrize(
    ("mark", "said"),
    [
        ("/var/lib/rpm/rpmdb.sqlite", "install iscsi-initiator-utils in the sysroot"),
        ("/var/lib/dpkg/status", "install open-iscsi in the sysroot"),
        ("/etc/other", "install open-iscsi, iscsi-initiator-utils in the sysroot"),
    ],
)
def test_the_family_is_known_by_what_the_tree_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], mark: str, said: str
) -> None:
    tree = make_rhel(tmp_path / "root")
    tree.path("/etc/redhat-release").unlink()
    tree.path("/usr/sbin/iscsiadm").unlink()
    tree.file(mark)
    assert build(tmp_path / "root", tmp_path / "rhel.img") == 4
    assert said in capsys.readouterr().err
