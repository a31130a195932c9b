"""modprobe.d: what of it is in an image, and that the image then holds what it leads to."""

from __future__ import annotations

from pathlib import Path

import pytest

from srbuild.errors import ConflictError
from srbuild.kernels.modprobed import parse_modprobe_conf
from srbuild.manifest import Manifest
from support.kernels import VERSION, FakeKmod, make_kernel, run
from support.plans import Project

KMODS = [FakeKmod(f"kernel/drivers/{name}.ko") for name in ("disk", "before-disk", "late", "other")]
CONF = "/etc/modprobe.d/disk.conf"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    make_kernel(project.sysroot, KMODS)
    return project


def collected(project: Project, files: str = "") -> Manifest:
    project.module("block", "disk", f'[install]\nkmods = ["disk"]\nfiles = [{files}]\n')
    return project.collect(blk="disk")


def kmods(manifest: Manifest) -> set[str]:
    return {path.rpartition("/")[2] for path in manifest.entries if path.endswith(".ko")}


@pytest.mark.parametrize(
    "text",
    [
        "softdep disk pre: before-disk post: late\n",
        "# a remark\n\nsoftdep \\\ndisk pre:\tbefore_disk \\\n post: late",
        "weakdep disk before_disk late\n",
        "softdep disk pre: before-disk gone\nsoftdep disk post: late\n",
        "softdep disk pre: before-disk\nsoftdep before_disk post: late\n",
    ],
)
@pytest.mark.parametrize("folder", ["/etc", "/lib", "/usr/lib"])
def test_what_a_file_in_the_image_leads_to_is_there(
    project: Project, folder: str, text: str
) -> None:
    project.put(f"{folder}/modprobe.d/disk.conf", text)
    manifest = collected(project, f'"{folder}/modprobe.d/*.conf"')
    assert kmods(manifest) == {"disk.ko", "before-disk.ko", "late.ko"}
    assert collected(project).entries.keys().isdisjoint({"/etc/modprobe.d", "/usr/lib/modprobe.d"})


def test_modprobe_itself_loads_these(project: Project) -> None:
    """kmod's own reading of the same lines: what it would load is what was followed."""
    text = "softdep disk pre: before-disk post: late\n"
    conf = project.put(CONF, text)
    manifest = collected(project, f'"{CONF}"')
    argv = ("modprobe", "-d", str(project.sysroot), "-S", VERSION, "-C", str(conf))
    out = run(*argv, "--show-depends", "disk")
    assert {line.split()[1].rpartition("/")[2] for line in out.splitlines()} == kmods(manifest)


def test_a_link_and_a_template_are_followed_like_files(project: Project) -> None:
    project.put("/opt/disk.conf", "softdep disk pre: before-disk\n")
    (project.sysroot / "etc/modprobe.d").mkdir(parents=True)
    (project.sysroot / CONF.lstrip("/")).symlink_to("/opt/disk.conf")
    template = '[[template]]\nsource = "t.j2"\ntarget = "/etc/modprobe.d/t.conf"\n'
    project.module("base", "tuned", template, t__j2="softdep disk post: late\n")
    project.module("block", "disk", f'[install]\nkmods = ["disk"]\nfiles = ["{CONF}"]\n')
    manifest = project.collect(blk="disk", modules=["tuned"])
    assert kmods(manifest) == {"disk.ko", "before-disk.ko", "late.ko"}


def test_files_of_the_sysroot_stay_out_and_those_that_matter_are_named(project: Project) -> None:
    project.put(CONF, "options disk depth=4\nsoftdep disk pre: before-disk\n")
    project.put("/etc/modprobe.d/else.conf", "options other depth=4\nblacklist disk2\n")
    project.put("/lib/modprobe.d/disk.conf", "options disk depth=5\n")
    manifest = collected(project)
    assert kmods(manifest) == {"disk.ko"}
    assert not [path for path in manifest.entries if "modprobe.d" in path]
    (note,) = [note for note in manifest.notes if "modprobe.d" in note]
    assert note.startswith(f"{CONF} of the sysroot is about disk and is not in the image")
    manifest = collected(project, f'"{CONF}"')
    assert CONF in manifest.entries
    assert not [note for note in manifest.notes if "modprobe.d" in note]


@pytest.mark.parametrize("command", ["/bin/true", "/sbin/modprobe --ignore-install disk; tune"])
def test_an_install_line_for_a_kmod_of_the_image_is_refused(project: Project, command: str) -> None:
    project.put(CONF, f"# tuned\noptions disk a=1\ninstall disk {command}\n")
    with pytest.raises(ConflictError, match="install line is in place of the kmod disk") as caught:
        collected(project, f'"{CONF}"')
    assert str(caught.value.origin) == f"{CONF}: line 3"


def test_an_install_line_for_another_kmod_does_no_harm(project: Project) -> None:
    project.put(CONF, "install other /bin/true\ninstall nosuch /bin/true\n")
    assert kmods(collected(project, f'"{CONF}"')) == {"disk.ko"}


def test_what_is_no_command_about_a_kmod_is_passed_over() -> None:
    assert list(parse_modprobe_conf("\n#x y z\nblacklist\n\\\n \\\n")) == []
    (line,) = parse_modprobe_conf("alias eth* my-nic\n")
    assert (line.command, line.name, line.rest) == ("alias", "my_nic", "eth*")
