"""Directories of a shared root that two nodes make at the same moment.

On GlusterFS a mkdir(2) that loses such a race says EEXIST while the directory is not there yet,
and the winner's is stale for some milliseconds; that is what the functions here play.
"""

from __future__ import annotations

import subprocess

import pytest

from support.shells import Machine

ENTER = """
. "$SR_LIB/hostmake.sh"
(sr_host_enter "$SR_SYSROOT" "$1" && pwd -P)
"""
LATE = """
mkdir() {
    [ -e "$SR_RUN/tried" ] && command mkdir "$@" && return
    : >"$SR_RUN/tried"
    echo "mkdir: cannot create directory '$1': File exists" >&2
    return 1
}
"""
STALE = """
mkdir() {
    case $1 in
        */nodes)
            if [ ! -e "$SR_RUN/tried" ]; then
                : >"$SR_RUN/tried"
                mv "$SR_SYSROOT/.srbuild" "$SR_SYSROOT/old"
                command mkdir "$SR_SYSROOT/.srbuild"
                return 1
            fi
            ;;
    esac
    command mkdir "$@"
}
"""
NEVER = """
mkdir() {
    read -r now rest <"$SR_PROC/uptime"
    echo "$((${now%%.*} + 3)).00 0" >"$SR_PROC/uptime"
    return 1
}
"""


def enter(machine: Machine, mkdir: str, path: str) -> subprocess.CompletedProcess[str]:
    return machine.lib(mkdir + ENTER, path)


@pytest.mark.parametrize("race", [LATE, STALE])
def test_a_directory_that_is_not_whole_yet_is_tried_again(machine: Machine, race: str) -> None:
    found = enter(machine, race, "/.srbuild/nodes/n1")
    assert found.returncode == 0, found.stderr
    assert found.stdout == f"{machine.root}/sysroot/.srbuild/nodes/n1\n"
    assert (machine.root / "sysroot/.srbuild/nodes/n1").is_dir()
    assert (machine.run_dir / "tried").exists()
    assert machine.note("why") == ""


def test_a_directory_that_cannot_be_made_is_named_in_the_end(machine: Machine) -> None:
    uptime = machine.root / "proc/uptime"
    uptime.unlink()
    uptime.write_text("10.00 0\n")
    found = enter(machine, NEVER, "/.srbuild/nodes")
    assert found.returncode == 1
    assert machine.note("why").endswith("/sysroot/.srbuild could not be made")
    assert "full" in machine.note("hint")


def test_a_file_in_the_way_is_told_at_once(machine: Machine) -> None:
    machine.write("sysroot/.srbuild", "")
    found = enter(machine, "", "/.srbuild/nodes")
    assert found.returncode == 1
    assert machine.note("why").endswith("/sysroot/.srbuild is no directory")


def test_a_link_in_the_way_is_not_followed(machine: Machine) -> None:
    (machine.root / "elsewhere").mkdir()
    (machine.root / "sysroot/.srbuild").symlink_to("../elsewhere")
    found = enter(machine, "", "/.srbuild/nodes")
    assert found.returncode == 1
    assert "is a link, which is not followed" in machine.note("why")
    assert not any((machine.root / "elsewhere").iterdir())


def test_one_directory_that_is_not_whole_yet_is_waited_for(machine: Machine) -> None:
    found = machine.lib(f'{LATE}sr_shared_dir "$SR_SYSROOT/proc"')
    assert found.returncode == 0, found.stderr
    assert (machine.root / "sysroot/proc").is_dir()
    assert (machine.run_dir / "tried").exists()


@pytest.mark.parametrize("kind", ["file", "link"])
def test_one_directory_with_something_in_its_place_is_refused(machine: Machine, kind: str) -> None:
    place = machine.root / "sysroot/proc"
    place.touch() if kind == "file" else place.symlink_to("nowhere")
    assert machine.lib('sr_shared_dir "$SR_SYSROOT/proc"').returncode == 1
    assert place.is_symlink() == (kind == "link")
