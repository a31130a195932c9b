"""A shared root for `srbuild local`, its commands run in this process or killed in another."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

from click.testing import CliRunner

from srbuild.cli.main import cli
from srbuild.errors import SrbuildError
from srbuild.host import confined


def make_root(root: Path) -> Path:
    """A small Debian system's shared root at `root`."""
    for folder in ("etc/ssh", "proc", "run", "tmp", "usr/lib/systemd", "var/log/audit", "srv/app"):
        (root / folder).mkdir(parents=True)
    files = {
        "etc/os-release": "ID=debian\n",
        "usr/lib/systemd/systemd": "",
        "etc/hostname": "shared\n",
        "etc/machine-id": "f" * 32 + "\n",
        "etc/ssh/ssh_host_rsa_key": "key\n",
        "srv/app/conf": "conf\n",
        "srv/app/data": "data\n",
        "var/log/syslog": "log\n",
        "var/log/audit/first": "audit\n",
    }
    for path, text in files.items():
        (root / path).write_text(text)
    (root / "srv/app/link").symlink_to("/etc/shadow")
    return root


def call(root: Path, *words: str) -> str:
    """Run `srbuild local` in this process; what it says. Raises SrbuildError."""
    argv = ["local", words[0], "--root", str(root), *words[1:]]
    done = CliRunner().invoke(cli, argv)
    if isinstance(done.exception, SrbuildError):
        raise done.exception
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def call_and_kill(root: Path, at: int, *words: str) -> bool:
    """Run it in a process that kills itself, by SIGKILL, before its change number `at`.

    Gives whether it came to that: a command that makes fewer changes ends by itself.
    """
    child = os.fork()
    if not child:
        status = 1
        try:
            left = [at]

            def before(_: str) -> None:
                left[0] -= 1
                if left[0] <= 0:
                    os.kill(os.getpid(), signal.SIGKILL)

            confined.Tree.__init__.__defaults__ = (before,)
            call(root, *words)
            status = 0
        except SrbuildError:
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) in (0, -signal.SIGKILL)
    return os.WIFSIGNALED(status)


def texts(root: Path) -> Iterator[tuple[str, str]]:
    """Every file of the root with its text, but for what srbuild itself keeps."""
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_file() and not path.is_symlink() and name != ".srbuild/list":
            yield name, path.read_text()
