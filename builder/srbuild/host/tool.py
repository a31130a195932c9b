"""Running other programs to their end: the one home of `subprocess`, but for the lab's machines.

Programs are run without a shell, always with a deadline, in a session of their own so that
a program that is given up takes its children along. A failure names the command as one can
paste it, its status and its last lines; a missing program names the Debian package with it.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence

from srbuild.errors import ToolError
from srbuild.frozen import frozen
from srbuild.paths import HostPath

# Where Debian keeps the administrator's tools, which an ordinary user's PATH leaves out.
SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")
LAST_LINES = 12  # of a failed program's output are shown
KILL_AFTER = 5.0  # seconds between SIGTERM and SIGKILL, for the program to clean up

# The Debian package that supplies a program, where the names differ.
DEBIAN_PACKAGES = {
    "bsdtar": "libarchive-tools",
    "busybox": "busybox-static",
    "depmod": "kmod",
    "dpkg-deb": "dpkg",
    "fsck.gfs2": "gfs2-utils",
    "mcopy": "mtools",
    "mformat": "mtools",
    "mke2fs": "e2fsprogs",
    "mkfs.gfs2": "gfs2-utils",
    "mksquashfs": "squashfs-tools",
    "mmd": "mtools",
    "modinfo": "kmod",
    "modprobe": "kmod",
    "mtype": "mtools",
    "openssl": "openssl",
    "qemu-img": "qemu-utils",
    "sfdisk": "fdisk",
    "qemu-system-aarch64": "qemu-system-arm",
    "qemu-system-x86_64": "qemu-system-x86",
    "ukify": "systemd-ukify",
    "xz": "xz-utils",
}


@frozen
class Result:
    """What a program did: its argument list, exit status, output and duration.

    `status` is negative for a program that was ended by a signal, as `subprocess` has it;
    `seconds` is wall time.
    """

    argv: tuple[str, ...]
    status: int
    stdout: bytes
    stderr: bytes
    seconds: float

    @property
    def text(self) -> str:
        """Standard output as UTF-8, foreign bytes as surrogate escapes."""
        return self.stdout.decode("utf-8", "surrogateescape")


def run(
    argv: Sequence[str | HostPath],
    *,
    timeout: float,
    cwd: HostPath | None = None,
    env: Mapping[str, str] | None = None,
    input: bytes = b"",  # noqa: A002 - the name that subprocess gave it
    check: bool = True,
) -> Result:
    """Run `argv` and return what it did.

    `timeout` in seconds; `env` is added to the environment of this process; `input` is
    given on standard input. Raises ToolError when the program is missing, when it fails
    and `check` is set, and when it does not end in time (it and its children are ended).
    """
    words = tuple(str(word) for word in argv)
    program = find_tool(words[0])
    started = time.monotonic()
    try:
        process = subprocess.Popen(
            (str(program), *words[1:]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env=tool_environment(env or {}),
            start_new_session=True,
        )
    except OSError as error:
        reason = f"cannot run {program}: {error.strerror}"
        raise ToolError(reason, hint=pasteable(words, cwd, env)) from error
    try:
        stdout, stderr = process.communicate(input, timeout)
    except subprocess.TimeoutExpired:
        stdout, stderr = _end(process)
        ended = Result(words, process.returncode, stdout, stderr, time.monotonic() - started)
        raise _failure(ended, f"did not end within {timeout:g} s", cwd, env) from None
    except BaseException:  # an interrupt, say: nothing may keep running behind our back
        _end(process)
        raise
    result = Result(words, process.returncode, stdout, stderr, time.monotonic() - started)
    if check and result.status != 0:
        raise _failure(result, _status_text(result.status), cwd, env)
    return result


def find_tool(name: str) -> HostPath:
    """The program `name` on PATH or in Debian's sbin directories.

    Raises ToolError with the Debian package to install when there is none.
    """
    found = shutil.which(name, path=_search_path())
    if found is None:
        package = DEBIAN_PACKAGES.get(name, name)
        where = "" if "/" in name else f"; install it with: apt-get install {package}"
        raise ToolError(f"there is no program {name}", hint=f"looked in {_search_path()}{where}")
    return HostPath(found)


def pasteable(
    argv: Sequence[str], cwd: HostPath | None = None, env: Mapping[str, str] | None = None
) -> str:
    """The command as a user can paste it into a shell."""
    words = [f"{name}={shlex.quote(value)}" for name, value in sorted((env or {}).items())]
    command = " ".join([*words, shlex.join(argv)])
    return f"cd {shlex.quote(str(cwd))} && {command}" if cwd else command


def tool_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """The environment of this process with the sbin directories on PATH, and `extra`."""
    return {**os.environ, "PATH": _search_path(), **extra}


def _search_path() -> str:
    known = [part for part in os.environ.get("PATH", os.defpath).split(os.pathsep) if part]
    return os.pathsep.join([*known, *(part for part in SBIN if part not in known)])


def _end(process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    """End a program and its children; what it had written so far."""
    _signal_group(process, signal.SIGTERM)
    try:
        return process.communicate(timeout=KILL_AFTER)
    except subprocess.TimeoutExpired:
        _signal_group(process, signal.SIGKILL)
        return process.communicate()
    finally:
        _signal_group(process, signal.SIGKILL)


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return  # all of the group is gone already


def _status_text(status: int) -> str:
    if status >= 0:
        return f"failed with status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"


def _failure(
    result: Result, what: str, cwd: HostPath | None, env: Mapping[str, str] | None
) -> ToolError:
    output = result.stderr if result.stderr.strip() else result.stdout
    lines = output.decode("utf-8", "replace").strip().splitlines()[-LAST_LINES:]
    told = "".join(f"\n    {line.rstrip()}" for line in lines)
    message = f"{HostPath(result.argv[0]).name} {what}" + (f":{told}" if told else "")
    return ToolError(message, hint=f"the command was: {pasteable(result.argv, cwd, env)}")
