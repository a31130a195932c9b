"""csync2.cfg and the key: what they say, and what the real csync2 does with them."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE, STDOUT

import pytest
from click.testing import CliRunner, Result

from srbuild.cli.main import cli

CLUSTER = """\
name = "lab-1"
[local]
add = ["state:/srv/own", "/etc/app.conf"]
remove = ["/etc/glusterfs"]
[[node]]
name = "n1"
id = 1
address = "10.9.0.1/24"
[[node]]
name = "n2"
id = 2
address = "10.9.0.2/24"
[node.local]
add = ["/srv/second"]
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Path:
    file = tmp_path / "cluster.toml"
    file.write_text(CLUSTER)
    return file


def call(cluster: Path, folder: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, ["csync2", str(cluster), "-o", str(folder), *words])


def status(told: Result) -> int:
    """The exit code that the command line makes of it."""
    code: int = getattr(told.exception, "exit_code", told.exit_code)
    return code


def lines(folder: Path) -> list[str]:
    """The lines of csync2.cfg, comments and blanks off."""
    text = (folder / "csync2.cfg").read_text().splitlines()
    return [line.partition("#")[0].strip() for line in text if line.partition("#")[0].strip()]


def test_one_group_of_all_nodes(cluster: Path, tmp_path: Path) -> None:
    made = call(cluster, tmp_path / "out")
    assert made.exit_code == 0, made.output
    found = lines(tmp_path / "out")
    assert found[:5] == [
        "group lab_1", "{", "host n1@10.9.0.1;", "host n2@10.9.0.2;",
        "key /etc/csync2_lab-1.key;",
    ]  # fmt: skip
    assert found[-4:] == [
        "backup-directory /var/csync2/backup;", "backup-generations 3;", "auto none;", "}",
    ]  # fmt: skip
    for line in (
        "include /*;", "include /vz/template;", "exclude /vz;", "exclude /etc/hostname;",
        "exclude /dev;", "exclude /var/log;", "exclude /etc/ssh/ssh_host_*;", "exclude /srv/own;",
        "exclude /etc/app.conf;", "exclude /srv/second;", "exclude /etc/csync2_lab-1.key;",
    ):  # fmt: skip
        assert line in found
    assert "exclude /etc/glusterfs;" not in found
    assert found.index("include /*;") < found.index("exclude /vz;")
    assert found.index("exclude /vz;") < found.index("include /vz/template;")


def test_what_is_wished_for_otherwise(cluster: Path, tmp_path: Path) -> None:
    words = ("--include", "/etc", "--include", "/usr", "--exclude", "/usr/src", "--no-tls")
    made = call(cluster, tmp_path / "out", *words, "--backup", "/var/old", "--generations", "9")
    assert made.exit_code == 0, made.output
    found = lines(tmp_path / "out")
    assert found[0] == "nossl * *;"
    assert "include /*;" not in found
    assert {"include /etc;", "include /usr;", "exclude /usr/src;", "exclude /var/old;"} <= {*found}
    assert {"backup-directory /var/old;", "backup-generations 9;"} <= {*found}


def test_the_roots_own_list_counts(cluster: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / ".srbuild").mkdir(parents=True)
    (root / "etc").mkdir()
    (root / "etc/os-release").write_text("ID=debian\n")
    (root / ".srbuild/list").write_text("/srv/roots dir any must shared the root's own\n")
    assert call(cluster, tmp_path / "out", "--root", str(root)).exit_code == 0
    found = lines(tmp_path / "out")
    assert "exclude /srv/roots;" in found
    assert "exclude /etc/network/interfaces;" in found
    assert "exclude /etc/sysconfig/network;" not in found


def test_the_key_is_kept_and_nobody_elses(cluster: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    call(cluster, out)
    key = out / "csync2_lab-1.key"
    first = key.read_text()
    assert len(first) == 65
    assert key.stat().st_mode & 0o777 == 0o600
    assert first.strip() not in call(cluster, out).output
    assert key.read_text() == first
    call(cluster, out, "--new-key")
    assert key.read_text() != first


def test_drift_is_told(cluster: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert status(call(cluster, out, "--check")) == 4
    call(cluster, out)
    assert status(call(cluster, out, "--check")) == 0
    cluster.write_text(CLUSTER.replace("/srv/own", "/srv/mine"))
    before = (out / "csync2.cfg").read_bytes()
    told = call(cluster, out, "--check")
    assert status(told) == 7
    assert "-    exclude /srv/own;" in told.output
    assert "+    exclude /srv/mine;" in told.output
    assert (out / "csync2.cfg").read_bytes() == before
    cluster.write_text(CLUSTER)
    (out / "csync2_lab-1.key").chmod(0o644)
    assert status(call(cluster, out, "--check")) == 7


@pytest.mark.parametrize("path", ["/a b", "/a;b", '/a"b', "/a{", "/a#b", "/a%b%", "relative"])
def test_a_path_that_cannot_be_said_is_refused(cluster: Path, tmp_path: Path, path: str) -> None:
    told = call(cluster, tmp_path / "out", "--exclude", path)
    assert status(told) == 3
    assert "cannot stand in csync2.cfg" in str(told.exception)
    assert not (tmp_path / "out").exists()


def test_one_node_has_nobody_to_be_like(cluster: Path, tmp_path: Path) -> None:
    cluster.write_text(CLUSTER[: CLUSTER.rindex("[[node]]")])
    told = call(cluster, tmp_path / "out")
    assert status(told) == 3
    assert "nothing to keep alike" in str(told.exception)


# --- the real csync2 ----------------------------------------------------------------------------

CSYNC2 = shutil.which("csync2", path="/usr/sbin:/usr/bin")
NEEDS = pytest.mark.skipif(
    CSYNC2 is None or os.geteuid() != 0, reason="needs csync2, and root for network namespaces"
)
SHARED = "etc/motd"
OWN = ("etc/hostname", "etc/csync2_ssl_cert.pem", "var/log/messages", "srv/second/file")


class Host:
    """A host with a root of files of its own, and csync2 running there."""

    def __init__(self, folder: Path, name: str, address: str) -> None:
        self.name = name
        self.root = folder / name
        self.address = address
        self.keeper = subprocess.Popen(
            ["unshare", "--net", "--mount", "--uts", "--fork", "--kill-child", "sleep", "300"]
        )
        self.server: subprocess.Popen[bytes] | None = None

    def fill(self, config: Path) -> None:
        """A root with csync2 and what it needs of this machine's, and the configuration."""
        for place in ("etc", "var/lib/csync2", "var/csync2/backup", "var/log", "srv/second", "tmp",
                      "dev", "usr"):  # fmt: skip
            (self.root / place).mkdir(parents=True, exist_ok=True)
        # The machine's programs, read in place; a bind is the namespace's own.
        for name in ("bin", "sbin", "lib", "lib64"):
            (self.root / name).symlink_to(f"usr/{name}")
        run(*self.inside("mount", "--bind", "/usr", str(self.root / "usr")))
        for file in config.iterdir():
            shutil.copy(file, self.root / "etc")
        (self.root / "etc/hosts").write_text("127.0.0.1 localhost\n10.9.0.1 n1\n10.9.0.2 n2\n")
        (self.root / "dev/null").touch()

    def certify(self) -> None:
        """A certificate of the host's own, as docs/csync2.md has it made: all by one name."""
        etc = self.root / "etc"
        run(
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650"),
            *("-subj", "/CN=csync2", "-keyout", str(etc / "csync2_ssl_key.pem")),
            *("-out", str(etc / "csync2_ssl_cert.pem"), "-batch"),
        )

    def inside(self, *words: str) -> list[str]:
        """The argv that runs `words` in the host's namespaces."""
        child = Path(f"/proc/{self.keeper.pid}/task/{self.keeper.pid}/children")
        [pid] = child.read_text().split()
        return ["nsenter", "--net", "--uts", "--mount", "-t", pid, *words]

    def csync2(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run csync2 on the host; its output and status."""
        argv = self.inside("chroot", str(self.root), "/usr/sbin/csync2", "-N", self.name, *words)
        return subprocess.run(argv, stdout=PIPE, stderr=STDOUT, text=True, timeout=60, check=False)

    def write(self, path: str, text: str) -> None:
        (self.root / path).write_text(text)

    def read(self, path: str) -> str | None:
        file = self.root / path
        return file.read_text() if file.exists() else None

    def end(self) -> None:
        for process in (self.server, self.keeper):
            if process:
                process.kill()
                process.wait()


@pytest.fixture(params=["clear", "tls"])
def hosts(
    tmp_path: Path, cluster: Path, request: pytest.FixtureRequest
) -> Iterator[tuple[Host, Host]]:
    """Two hosts in network namespaces of their own, a cable between them, csync2 on both."""
    words = ["--no-tls"] if request.param == "clear" else []
    made = call(cluster, tmp_path / "out", *words, "--exclude", "/usr")
    assert made.exit_code == 0, made.output
    one, two = (Host(tmp_path, f"n{n}", f"10.9.0.{n}") for n in (1, 2))
    try:
        await_true(lambda: all(children(host) for host in (one, two)))
        [peer] = children(two)
        run(*one.inside("ip", "link", "add", "up0", "type", "veth", "peer", "up0", "netns", peer))
        for host in (one, two):
            host.fill(tmp_path / "out")
            host.certify()
            run(*host.inside("ip", "link", "set", "lo", "up"))
            run(*host.inside("ip", "addr", "add", f"{host.address}/24", "dev", "up0"))
            run(*host.inside("ip", "link", "set", "up0", "up"))
            run(*host.inside("hostname", host.name))
            argv = host.inside("chroot", str(host.root), "/usr/sbin/csync2", "-ii", "-N", host.name)
            host.server = subprocess.Popen(argv, stdout=(tmp_path / f"{host.name}.log").open("w"),
                                           stderr=STDOUT)  # fmt: skip
        for host in (one, two):
            await_true(lambda host=host: is_listening(host))  # type: ignore[misc]
        yield one, two
    finally:
        one.end()
        two.end()


def run(*argv: str) -> None:
    subprocess.run(argv, check=True, timeout=30)


def children(host: Host) -> list[str]:
    """The keeper's child, once it is in its namespaces and does what it is to."""
    pid = host.keeper.pid
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [one for one in found if b"sleep" in Path(f"/proc/{one}/cmdline").read_bytes()[:6]]


def is_listening(host: Host) -> bool:
    argv = host.inside("ss", "-Hltn", "sport = :30865")
    return bool(subprocess.run(argv, stdout=PIPE, check=True).stdout.strip())


def await_true(holds: object, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.05)


@NEEDS
def test_the_real_one_carries_what_is_shared_and_reports_conflicts(
    hosts: tuple[Host, Host],
) -> None:
    one, two = hosts
    one.write(SHARED, "of all\n")
    for path in OWN[:1] + OWN[2:]:
        one.write(path, "of n1\n")
        two.write(path, "of n2\n")
    own = [[host.read(path) for path in OWN] for host in hosts]
    sent = one.csync2("-xvr", "/")
    assert sent.returncode == 0, sent.stdout
    assert two.read(SHARED) == "of all\n"
    assert [two.read(path) for path in OWN] == own[1]
    assert [one.read(path) for path in OWN] == own[0]
    # Its own look for differences, of what both have looked at: 2 is "both hosts are in sync".
    assert two.csync2("-xr", "/").returncode == 0
    assert one.csync2("-T").returncode == 2, one.csync2("-T").stdout

    one.write(SHARED, "changed on n1\n")
    two.write(SHARED, "changed on n2, too\n")
    two.csync2("-cr", "/")
    sent = one.csync2("-xvr", "/")
    assert sent.returncode == 1, sent.stdout
    assert SHARED in sent.stdout
    assert two.read(SHARED) == "changed on n2, too\n"
    assert one.csync2("-T").returncode != 2

    # A person decides; what is replaced is kept.
    assert one.csync2("-fr", f"/{SHARED}").returncode == 0
    sent = one.csync2("-xvr", "/")
    assert sent.returncode == 0, sent.stdout
    assert two.read(SHARED) == "changed on n1\n"
    kept = [path.read_text() for path in (two.root / "var/csync2/backup").rglob("*motd*")]
    assert "changed on n2, too\n" in kept
