"""Small Debian packages, made by dpkg-deb, and an mmdebstrap that unpacks them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

FAKE_MMDEBSTRAP = """\
#!{python}
import os, pathlib, subprocess, sys, time
here = pathlib.Path(__file__).parent
tree = next(word for word in sys.argv[1:] if word.endswith("/tree"))
with open(here / "calls", "a") as calls:
    print(*sys.argv[1:], sep="\\t", file=calls)
cache = pathlib.Path(tree, "var/cache/apt/archives")
cache.mkdir(parents=True)
for deb in sorted(here.glob("*.deb")):
    (cache / deb.name).write_bytes(deb.read_bytes())
    subprocess.run(["dpkg-deb", "-x", deb, tree], check=True)
(here / "unpacked").touch()
deadline = time.monotonic() + 20
while (here / "hold").exists() and time.monotonic() < deadline:
    time.sleep(0.01)
if (here / "fail").exists():
    sys.stderr.write((here / "fail").read_text())
    sys.exit(25)
"""


def make_deb(
    where: Path,
    name: str,
    files: Mapping[str, str],
    *,
    links: Mapping[str, str] | None = None,
    version: str = "1.0-1",
    fields: str = "",
    compression: str = "xz",
) -> Path:
    """The package `name` with `files` (path → text) and `links` (path → target)."""
    root = where / f"{name}.root"
    for path, text in {**files, **(links or {})}.items():
        place = root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        if path in files:
            place.write_text(text)
        else:
            place.symlink_to(text)
    control = root / "DEBIAN" / "control"
    control.parent.mkdir(parents=True)
    control.write_text(
        f"Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: A <a@b.invalid>\n"
        f"{fields}Description: a package\n of two lines\n .\n and a third: yes\n"
    )
    deb = where / f"{name}_{version}_amd64.deb"
    argv = ["dpkg-deb", "--root-owner-group", f"-Z{compression}", "-b", str(root), str(deb)]
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
    return deb


def make_mmdebstrap(where: Path) -> Path:
    """An `mmdebstrap` in `where` that unpacks the packages beside it.

    It notes its arguments in `calls`, waits while `hold` is there and fails with the
    content of `fail`.
    """
    where.mkdir(parents=True, exist_ok=True)
    program = where / "mmdebstrap"
    program.write_text(FAKE_MMDEBSTRAP.format(python=sys.executable))
    program.chmod(0o755)
    return program
