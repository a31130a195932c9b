"""Tools and keys for programs that UEFI firmware starts: ukify, sbsign, a machine with Secure Boot.

Debian 12 has no ukify: the tools run in place, out of a Debian 13 tree.
"""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from srbuild.host.distro import SysrootRequest, create_sysroot
from srbuild.lab.firmware import Firmware

PACKAGES = ("sbsigntool", "systemd-boot-efi", "systemd-ukify")

# Of Debian's package ovmf: variables with a key enrolled that everybody has, and that key.
SECURE = Firmware(
    Path("/usr/share/OVMF/OVMF_CODE_4M.secboot.fd"),
    Path("/usr/share/OVMF/OVMF_VARS_4M.snakeoil.fd"),
    secure=True,
)
KEY = Path("/usr/share/ovmf/PkKek-1-snakeoil.key")
CERTIFICATE = KEY.with_suffix(".pem")
PASSPHRASE = "snakeoil"

UKIFY = """\
#!/bin/sh
# ukify with the stub and the Python modules of its own tree.
set -eu
[ "$1" != build ] || set -- "$@" --stub={tree}/usr/lib/systemd/boot/efi/linuxx64.efi.stub
PYTHONPATH={tree}/usr/lib/python3/dist-packages exec {python} {tree}/usr/bin/ukify "$@"
"""
SBSIGN = """\
#!/bin/sh
exec {tree}/lib64/ld-linux-x86-64.so.2 --library-path {tree}/usr/lib/x86_64-linux-gnu \\
    {tree}/usr/bin/sbsign "$@"
"""


@dataclass(frozen=True)
class EfiTools:
    """A Debian 13 tree, its ukify and sbsign in `folder`, to be run on a machine of any release."""

    tree: Path
    folder: Path

    @property
    def path(self) -> str:
        """This process's PATH with the tools first."""
        return f"{self.folder}{os.pathsep}{os.environ['PATH']}"

    @property
    def systemd_boot(self) -> Path:
        """A boot loader, not signed."""
        return self.tree / "usr/lib/systemd/boot/efi/systemd-bootx64.efi"

    def sign(self, program: Path) -> Path:
        """`program` signed for SECURE, in the folder of the tools."""
        key = self.folder / "key"
        argv = ["openssl", "rsa", "-passin", f"pass:{PASSPHRASE}", "-in", KEY, "-out", key]
        subprocess.run(argv, check=True, capture_output=True, timeout=60)
        signed = self.folder / f"{program.stem}.signed.efi"
        argv = [self.folder / "sbsign", "--key", key, "--cert", CERTIFICATE]
        argv += ["--output", signed, program]
        subprocess.run(argv, check=True, capture_output=True, timeout=60)
        return signed


def efi_tools(project: Path, folder: Path) -> EfiTools:
    """The tools, in the new `folder`; build/sysroots/efi-tools is made when it is not there.

    That needs the network.
    """
    assert platform.machine() == "x86_64", "the tree's sbsign is run by its own loader"
    tree = project / "build/sysroots/efi-tools"
    create_sysroot(tree, SysrootRequest(PACKAGES, "trixie", "amd64"))
    folder.mkdir()
    words = {"tree": shlex.quote(str(tree)), "python": shlex.quote(sys.executable)}
    for name, script in (("ukify", UKIFY), ("sbsign", SBSIGN)):
        (folder / name).write_text(script.format(**words))
        (folder / name).chmod(0o755)
    return EfiTools(tree, folder)
