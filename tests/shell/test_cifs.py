"""The root over SMB: what is mounted how, where the password goes, and what is final."""

from __future__ import annotations

import subprocess

import pytest

from support.shells import Machine

SHARE = "//10.9.0.1/root"


def fail(reason: str) -> str:
    return f"echo 'mount: mounting it on /sysroot failed: {reason}' >&2; exit 255"


NO_POSIX = f'case "$(cat "$3")" in *posix*) {fail("Operation not supported")} ;; esac'


def mount(
    machine: Machine, how: str = "exit 0", login: str = "root\n\nhush pw\\1\n", **options: str
) -> subprocess.CompletedProcess[str]:
    """Run mount.sh with a `mount -i -T TABLE` that keeps the tables and is the shell text `how`."""
    keep = f'[ "$1" != -i ] || cat "$3" >>"{machine.root}/tables"'
    table = f'[ "$1" = -i ] || exit 0; shift; set -- - "$1" "$2"; {how}'
    machine.fake("mount", f"{keep}\n{table}")
    if login:
        machine.write("etc/srbuild/cifs.credentials", login)
    machine.write("proc/mounts", f"{SHARE} {machine.root}/sysroot cifs rw,unix,posixpaths 0 0\n")
    given = {
        "SR_CIFS_SHARE": SHARE, "SR_CIFS_VERSION": "1", "SR_CIFS_OPTIONS": "",
        "SR_CIFS_OVERLAY": "0", "SR_CIFS_TIMEOUT": "10", "SR_CIFS_TRY_TIMEOUT": "5",
        "SR_CIFS_PAUSE": "1", "SR_CIFS_ROOT": "", "SR_CIFS_CIFSROOT": "",
    }  # fmt: skip
    return machine.module("fs/cifs", "mount.sh", **(given | options))


def tables(machine: Machine) -> list[list[str]]:
    """The lines of fstab(5) that mount was given, as fields."""
    path = machine.root / "tables"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def test_smb_1_is_writable(machine: Machine) -> None:
    found = mount(machine)
    assert found.returncode == 0, found.stderr
    ((source, point, kind, options, *_),) = tables(machine)
    assert (source, point, kind) == (SHARE, f"{machine.root}/sysroot", "cifs")
    assert options == (
        r"rw,hard,vers=1.0,ip=10.9.0.1,unc=\134\13410.9.0.1\134root,username=root,"
        r"password=hush\040pw\1341"
    )


def test_the_password_is_seen_nowhere_and_stays_nowhere(machine: Machine) -> None:
    found = mount(machine, fail("Permission denied"))
    assert found.returncode == 1
    seen = found.stdout + found.stderr + "".join(machine.calls)
    for note in ("why", "hint", "command"):
        seen += machine.note(note)
    assert "hush" not in seen
    assert not (machine.run_dir / "cifs.tab").exists()


def test_the_table_is_for_root_only(machine: Machine) -> None:
    mount(machine, f'stat -c %a "$3" >"{machine.root}/mode"')
    assert (machine.root / "mode").read_text() == "600\n"


def test_smb_3_is_read_only_with_the_reason(machine: Machine) -> None:
    found = mount(machine, NO_POSIX, SR_CIFS_VERSION="3")
    assert found.returncode == 0, found.stderr
    assert [row[3].split(",ip=")[0] for row in tables(machine)] == [
        "ro,hard,vers=3.1.1,posix",
        "ro,hard,vers=3,mfsymlinks",
    ]
    assert "the root is read-only" in found.stderr
    assert any(call.startswith("mount -t overlay ") for call in machine.calls)


def test_smb_3_with_posix_extensions_is_read_only_too(machine: Machine) -> None:
    assert mount(machine, SR_CIFS_VERSION="3", SR_CIFS_OVERLAY="1").returncode == 0
    assert [row[3].split(",ip=")[0] for row in tables(machine)] == ["ro,hard,vers=3.1.1,posix"]


def test_a_guest_a_port_and_a_folder(machine: Machine) -> None:
    share = "//[fd00::1]:4455/my share/a/b"
    found = mount(machine, login="", SR_CIFS_SHARE=share, SR_CIFS_OPTIONS="noatime")
    assert found.returncode == 0, found.stderr
    ((source, _, _, options, *_),) = tables(machine)
    assert source == r"//fd00::1/my\040share/a/b"
    assert options == (
        r"rw,hard,vers=1.0,ip=fd00::1,port=4455,unc=\134\134fd00::1\134my\040share,"
        "prefixpath=a/b,noatime,guest"
    )


def test_a_domain(machine: Machine) -> None:
    assert mount(machine, login="joe\nWORK\nx\n").returncode == 0
    assert tables(machine)[0][3].endswith(",username=joe,password=x,domain=WORK")


@pytest.mark.parametrize("login", ["a,uid=0\n\nx\n", "a\nb,c\nx\n", "a\n\nhush,x\n"])
def test_a_comma_would_be_another_option(machine: Machine, login: str) -> None:
    found = mount(machine, login=login)
    assert found.returncode == 1
    assert "comma" in machine.note("why")
    assert "hush" not in found.stderr
    assert tables(machine) == []


@pytest.mark.parametrize(
    ("reason", "why"),
    [("Permission denied", "refused the login of root"), ("No such file or directory", "no such"),
     ("Operation not supported", "does not take SMB 1"), ("Invalid argument", "options")],
)  # fmt: skip
def test_a_refusal_is_final(machine: Machine, reason: str, why: str) -> None:
    machine.fake("dmesg")
    assert mount(machine, fail(reason)).returncode == 1
    assert why in machine.note("why")
    assert SHARE in machine.note("why")
    assert machine.note("hint")
    assert len(tables(machine)) == 1


def test_a_server_that_comes_up_late(machine: Machine) -> None:
    up = machine.root / "up"
    found = mount(machine, f'[ -e "{up}" ] && exit 0; : >"{up}"; {fail("Host is down")}')
    assert found.returncode == 0, found.stderr
    assert "not mounted yet" in found.stderr
    assert len(tables(machine)) == 2


def test_a_server_that_never_comes_up(machine: Machine) -> None:
    assert mount(machine, fail("Connection refused"), SR_CIFS_TIMEOUT="2").returncode == 1
    for part in (SHARE, "2 s", "Connection refused"):
        assert part in machine.note("why")
    assert "445" in machine.note("hint")


def test_smb_1_without_unix_extensions_is_no_root(machine: Machine) -> None:
    machine.write("proc/self/mountinfo", "")
    how = f'sed -i s/unix,posixpaths/nounix/ "{machine.root}/proc/mounts"'
    assert mount(machine, how).returncode == 1
    assert "Unix extensions" in machine.note("why")


@pytest.mark.parametrize(
    "share",
    ["", "root", "//10.9.0.1", "//10.9.0.1/", r"\\10.9.0.1\root", "//10.9.0/root", "//a b/root",
     "//10.9.0.1/root/../x", "//10.9.0.1/root,x", "//$(id)/root", "///root"],
)  # fmt: skip
def test_a_share_that_is_none(machine: Machine, share: str) -> None:
    assert mount(machine, SR_CIFS_SHARE=share).returncode == 1
    assert machine.note("hint")
    assert tables(machine) == []


@pytest.mark.parametrize(
    ("option", "text", "source", "last"),
    [
        ("ROOT", "cifs://10.0.0.7/a/b", "//10.0.0.7/a/b", "prefixpath=b"),
        ("CIFSROOT", "//10.0.0.7/a,noatime", "//10.0.0.7/a", "noatime"),
    ],
)
def test_kernel_parameters(
    machine: Machine, option: str, text: str, source: str, last: str
) -> None:
    assert mount(machine, **{f"SR_CIFS_{option}": text}).returncode == 0
    assert tables(machine)[0][0] == source
    assert f",{last},username=" in tables(machine)[0][3]


@pytest.mark.parametrize(
    ("option", "text"),
    [("ROOT", "/dev/sda"), ("ROOT", "nfs:10.0.0.7:/a"), ("ROOT", "cifs://joe:hush@10.0.0.7/a"),
     ("CIFSROOT", "//10.0.0.7/a,password=hush"), ("CIFSROOT", "//10.0.0.7/a,soft"),
     ("CIFSROOT", "//10.0.0.7/a,,x")],
)  # fmt: skip
def test_parameters_that_are_not_taken(machine: Machine, option: str, text: str) -> None:
    machine.write("usr/lib/srbuild/refused", "SR_CIFS_OPTIONS\tsoft\tit breaks\n")
    found = mount(machine, **{f"SR_CIFS_{option}": text})
    assert found.returncode == 1
    assert machine.note("why").startswith(f"{option.lower()}=")
    assert "hush" not in found.stderr + machine.note("why") + machine.note("hint")
    assert tables(machine) == []
