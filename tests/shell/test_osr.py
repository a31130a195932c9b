"""OSR's kernel parameters: what each becomes, which wins, and what is said of the others."""

from __future__ import annotations

import re
import shutil

import pytest

from support.shells import PROJECT, Machine

OPTIONS = {
    "core": "SR_CORE_NODE\tword\t0\t0\trd.srb.node,nodename\nSR_CORE_NODEID\tint\t0\t0\tnodeid\n",
    "gfs2": "SR_GFS2_DEVICE\tdevice\t0\t0\troot\nSR_GFS2_OPTIONS\tflags\t0\t0\trootflags\n",
    "iscsi": "SR_ISCSI_ROOTSOURCE\tstring\t0\t0\trootsource\n",
    "lvm": "SR_LVM_LV\tword\t1\t0\trd.lvm.lv\n",
    "nfs": "SR_NFS_ROOT\tstring\t0\t0\troot\nSR_NFS_NFSROOT\tstring\t0\t0\tnfsroot\n"
    "SR_NFS_PAUSE\tseconds\t0\t0\trd.srb.nfs.pause\n",
    "glusterfs": "SR_GLUSTERFS_VOLFILE\tpath\t0\t0\trd.srb.glusterfs.volfile\n"
    "SR_GLUSTERFS_ROOT\tstring\t0\t0\troot\n",
}
LOAD = '. "$SR_LIB/values.sh"; sr_values_load; sr_values_export gfs2\n'


def translate(machine: Machine, cmdline: str, *modules: str) -> tuple[list[str], list[str], str]:
    """The words, those of com-NAME's, and what was said, on an image with `modules`."""
    rows = "".join(OPTIONS[module] for module in ("core", *modules))
    machine.write("usr/lib/srbuild/options", rows)
    runs = "".join(f"mount {module} /script 10\n" for module in modules)
    machine.write("usr/lib/srbuild/runs", runs)
    machine.write("run/srbuild/cmdline", "".join(f"{word}\n" for word in cmdline.split()))
    done = machine.lib('. "$SR_LIB/osr.sh"; sr_osr_translate')
    assert done.returncode == 0, done.stderr
    words, com = ((machine.run_dir / name).read_text() for name in ("cmdline", "cmdline.com"))
    log = machine.run_dir / "log"
    assert log.exists() == bool(done.stderr)
    return words.split(), com.split(), done.stderr


@pytest.mark.parametrize(
    ("given", "modules", "words"),
    [
        ("quiet root=/dev/sda2 ro splash=", ("gfs2",), "quiet root=/dev/sda2 ro splash="),
        ("nodeid=2 nodename=n2", ("gfs2",), "nodeid=2 nodename=n2"),
        ("debug", (), "rd.debug"),
        ("step", (), "rd.srb.step"),
        ("step=__set__", (), "rd.srb.step"),
        ("step=rootfsmount", (), "rd.break=mount"),
        ("rd.break=netstart", (), "rd.break=net"),
        ("rd.break=pre-pivot", (), "rd.break=handover"),
        ("rd.break=storage", (), "rd.break=storage"),
        ("rd.break", (), "rd.break"),
        ("rootvolume=/dev/sdb1", ("gfs2",), "root=/dev/sdb1"),
        ("rootvolume=/dev/vg/root", ("gfs2", "lvm"), "rd.lvm.lv=vg/root"),
        ("rootvolume=/dev/mapper/vg--a-root--b", ("gfs2", "lvm"), "rd.lvm.lv=vg-a/root-b"),
        ("rootvolume=/dev/mapper/mpath0", ("gfs2", "lvm"), "root=/dev/mapper/mpath0"),
        ("rootvolume=/dev/disk/by-id/x", ("gfs2", "lvm"), "root=/dev/disk/by-id/x"),
        ("rootvolume=10.9.0.1:/srv", ("nfs",), "root=nfs:10.9.0.1:/srv"),
        ("rootvolume=10.9.0.1:/root", ("glusterfs",), "root=glusterfs:10.9.0.1:/root"),
        ("rootvolume=/etc/r.vol", ("glusterfs",), "rd.srb.glusterfs.volfile=/etc/r.vol"),
        ("rootsource=iscsi://10.9.0.1/", ("iscsi",), "rootsource=iscsi://10.9.0.1/"),
        ("mountopts=noatime,ro", ("gfs2",), "rootflags=noatime,ro"),
        ("mountwait=10", ("nfs",), "rd.srb.nfs.pause=10"),
        ("rootfs=gfs", ("gfs2",), ""),
        ("rootfs=nfs4", ("nfs",), ""),
        ("com-expert com-debug=1", (), "rd.break=identity rd.debug"),
        ("quiet com_step=cdsl", (), "rd.break=local quiet"),
    ],
)
def test_words_become_ours(
    machine: Machine, given: str, modules: tuple[str, ...], words: str
) -> None:
    assert translate(machine, given, *modules) == (words.split(), [], "")


def test_words_with_com_are_kept_apart(machine: Machine) -> None:
    given = "com-nodeid=2 com_rootvolume=/dev/sdb1 com-mountopts=ro com-nodename=n2 com-root=UUID=1"
    words = ["nodeid=2", "root=/dev/sdb1", "rootflags=ro", "nodename=n2", "root=UUID=1"]
    assert translate(machine, given, "gfs2") == ([], words, "")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("com-wrong=1", "com-wrong: neither OSR nor srbuild has such a parameter"),
        ("com_", ""),
        ("step=nowhere", "there is no point 'nowhere': identity net storage"),
        ("rd.break=nowhere", "there is no point 'nowhere'"),
        ("rootvolume=/dev/sda", "rootvolume: no boot module in this image takes it"),
        ("rootsource=iscsi://10.9.0.1/", "rootsource: no boot module in this image takes it"),
        ("rootfs=ocfs2", "this image does not mount ocfs2"),
        ("com-ro", "OSR itself obeyed it nowhere: write rootflags=ro"),
        ("com-stepmode", "it has long been called step"),
        ("quorumack", "wait_for_all"),
        ("votes=1", "the nodes are in the cluster file"),
    ],
)
def test_what_has_no_effect_is_said(machine: Machine, given: str, said: str) -> None:
    words, com, told = translate(machine, given)
    assert said in told
    assert com == []
    if said:
        assert words == []
        assert "warning: kernel parameter" in told
        assert said in (machine.run_dir / "log").read_text()
    else:
        assert words == [given]


# The list of reference: every parameter that OSR read, in both spellings.
EVERY = """\
debug step dstep nousb newroot cluster_conf stepmode nodeid nodename nodeids votes quorumack
rootvolume rootsource rootfs syslogserver syslogfilter scsi_failover ip tmpfix bridgename
bridgescript bridgenetdev bridgeantispoof scsidriver root mountopts rootfsck mounttimes
mountwait lockmethod sourceserver ro rw chrootneeded fsck syslogtemplate selinux enforcing pool
poolsource poolcca poolcidev gnbdserver mountopt bootpart urlsource installdev mode iscsi
cdsltree cdslsharedtree cdsllink rdnetdebug expert
"""


@pytest.mark.parametrize("name", EVERY.split())
def test_every_parameter_of_osr_is_known(machine: Machine, name: str) -> None:
    words, com, told = translate(machine, f"com-{name}", "gfs2", "iscsi")
    assert "neither OSR nor srbuild" not in told
    assert bool(words or com) != bool(told) or name == "rootfs"


@pytest.mark.parametrize(
    ("files", "value"),
    [
        ({"cmdline": "com-root=/dev/com"}, "/dev/com"),
        ({"cmdline": "com-root=/dev/com root=/dev/plain"}, "/dev/plain"),
        ({"cmdline": "root=/dev/plain com-root=/dev/com"}, "/dev/plain"),
        ({"cmdline": "com-root=/dev/com", "site.values": "/dev/site"}, "/dev/com"),
        ({"cmdline": "com-root=/dev/com", "node.values": "/dev/node"}, "/dev/com"),
        ({"cmdline": "com-root=/dev/com", "values": "/dev/default"}, "/dev/com"),
        ({"cmdline": "com-root=/dev/com", "values": "/dev/built", "built": ""}, "/dev/built"),
        ({"cmdline": "root=/dev/plain", "values": "/dev/built", "built": ""}, "/dev/plain"),
        (
            {
                "cmdline": "com-root=/dev/com",
                "values": "/dev/built",
                "built": "",
                "site.values": "/dev/site",
            },
            "/dev/com",
        ),
    ],
)
def test_precedence_is_osrs(machine: Machine, files: dict[str, str], value: str) -> None:
    for name in ("values", "site.values", "node.values"):
        if name in files:
            machine.write(f"etc/srbuild/{name}", f"SR_GFS2_DEVICE={files[name]}\n")
    if "built" in files:
        machine.write("usr/lib/srbuild/built", "SR_GFS2_DEVICE\n")
    translate(machine, files["cmdline"], "gfs2")
    done = machine.lib(LOAD + 'printf "<%s>" "$SR_GFS2_DEVICE"')
    assert done.stdout == f"<{value}>", done.stderr


def test_a_value_of_the_wrong_type_names_the_word_with_com(machine: Machine) -> None:
    translate(machine, "com-nodeid=many", "gfs2")
    done = machine.lib(LOAD)
    assert done.returncode == 1
    assert machine.note("why").startswith("kernel parameter com-nodeid: `many` is not of type int")


@pytest.fixture
def spine(machine: Machine) -> Machine:
    """A machine that boots through three points."""
    points = ("identity", "net", "storage", "mount")
    machine.write("usr/lib/srbuild/points", "".join(f"{point}\n" for point in points))
    machine.write("usr/lib/srbuild/options", OPTIONS["core"])
    script = machine.write("usr/lib/srbuild/modules/m/say.sh", 'echo "ran $SR_POINT"\n')
    runs = "".join(f"{point} m {script} 20\n" for point in points)
    machine.write("usr/lib/srbuild/runs", runs)
    shutil.copy(PROJECT / "hooks/spine.sh", machine.home / "spine")
    machine.write("usr/lib/srbuild/lib/console.sh", "exec sh -i\n")
    return machine


@pytest.mark.parametrize(
    ("cmdline", "typed", "asked", "shells"),
    [
        ("", "", 0, 0),
        ("step", "\n\n\n\n", 4, 0),
        ("com-step", "\nc\n", 2, 0),
        ("step", "mount\n\n", 2, 0),
        ("step", "rootfsmount\n\n", 2, 0),
        ("step", "s\nresume\n", 4, 1),  # then nobody answers
        ("step", "list\nnowhere\nc\n", 1, 0),
        ("step", "", 4, 0),  # nobody answers
        ("step rd.shell=0", "", 0, 0),
        ("step=netstart", "resume\n", 0, 1),
    ],
)
def test_step_asks_before_the_points(
    spine: Machine, cmdline: str, typed: str, asked: int, shells: int
) -> None:
    spine.write("proc/cmdline", f"{cmdline}\n")
    done = spine.run(str(spine.home / "spine"), stdin=typed)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("step: next is the point") == asked
    assert done.stdout.count("type resume to go on with the boot") == shells
    # A shell's prompt may stand before it.
    assert re.findall(r"ran (\w+)", done.stdout) == ["identity", "net", "storage", "mount"]
    if "list" in typed:
        assert "identity\nnet\nstorage\nmount\n" in done.stdout
        assert "there is no point 'nowhere'" in done.stdout
