"""`.ci/need`, which sees to the Debian packages, with a stand-in for apt-get and for id."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

NEED = Path(__file__).resolve().parents[2] / ".ci/need"

# Knows the packages in `known`, has those in `installed`; `update` makes it know all.
APT = """\
#!/bin/sh
cd "$HERE" || exit
echo "$*" >> calls
verb= packages=
for word in "$@"; do
    case $word in
        -*) ;;
        update | install) verb=$word ;;
        *) packages="$packages $word" ;;
    esac
done
if [ "$verb" = update ]; then
    [ ! -f broken ] || { echo 'E: no network'; exit 100; }
    cat known.new >> known
    exit
fi
for package in $packages; do
    grep -qx "$package" known installed && continue
    echo "E: Unable to locate package $package"
    exit 100
done
for package in $packages; do
    grep -qx "$package" installed && continue
    case $* in
        *-s*) echo "Reading"; echo "Inst $package (1.0)" ;;
        *) echo "$package" >> installed ;;
    esac
done
"""


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    for name, text in {
        "apt-get": APT,
        "id": '#!/bin/sh\ncat "$HERE/uid"\n',
    }.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    for name, text in {
        "uid": "0\n",
        "installed": "bash\n",
        "known": "kmod\n",
        "known.new": "kmod\nmmdebstrap\n",
        "calls": "",
    }.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def need(machine: Path, *packages: str) -> subprocess.CompletedProcess[str]:
    path = f"{machine}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "HERE": str(machine)}
    return subprocess.run(
        [NEED, *packages], env=environment, capture_output=True, text=True, check=False, timeout=30
    )


def calls(machine: Path) -> list[str]:
    return [line for line in (machine / "calls").read_text().splitlines() if "-s" not in line]


def test_nothing_is_done_or_said_when_all_is_there(machine: Path) -> None:
    done = need(machine, "bash")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert calls(machine) == []


def test_root_installs_what_is_missing(machine: Path) -> None:
    done = need(machine, "bash", "mmdebstrap", "kmod")
    assert done.returncode == 0
    assert done.stdout == "installing mmdebstrap kmod\n"
    assert set((machine / "installed").read_text().split()) == {"bash", "mmdebstrap", "kmod"}
    update, install = calls(machine)
    assert "update" in update
    assert {"-y", "--no-install-recommends"} <= set(install.split())
    assert need(machine, "bash", "mmdebstrap", "kmod").stdout == ""


def test_others_are_told_what_to_run(machine: Path) -> None:
    (machine / "uid").write_text("1000\n")
    done = need(machine, "bash", "mmdebstrap", "kmod")
    assert done.returncode == 1
    assert "sudo apt-get install --no-install-recommends mmdebstrap kmod\n" in done.stderr
    assert calls(machine) == []


def test_a_failure_shows_what_apt_said(machine: Path) -> None:
    (machine / "broken").touch()
    done = need(machine, "mmdebstrap")
    assert done.returncode == 1
    assert "E: no network" in done.stderr
    assert "need: failed: apt-get -qq update" in done.stderr


def test_a_package_that_no_source_has(machine: Path) -> None:
    done = need(machine, "nonsense")
    assert done.returncode == 1
    assert "Unable to locate package nonsense" in done.stderr
