"""A unified kernel image: kernel, command line and image as one program that UEFI firmware starts.

It is made by systemd's ukify and read back through it: PE files are never written here. What
the sections are called and hold is in the UAPI Group's specification, "Unified Kernel Image".
"""

from __future__ import annotations

import hashlib
import json
import re
import stat
from collections.abc import Mapping

from srbuild.errors import ToolError, VerifyError
from srbuild.frozen import frozen
from srbuild.host.files import Draft
from srbuild.host.tool import Result, find_tool, run
from srbuild.paths import HostPath
from srbuild.publish.digest import size_and_sha256

UKIFY = "ukify"
_SECONDS = 300  # for ukify, which copies and hashes


@frozen
class Uki:
    """A finished unified kernel image: `size` in bytes, `sha256` in hexadecimal."""

    path: HostPath
    size: int
    sha256: str


@frozen
class UkiParts:
    """What goes into one.

    `image` is a finished image and `kernel` its kernel's file, of the version `uname`;
    `name` is what a boot menu shows. `secret` makes the file its owner's only.
    """

    image: HostPath
    kernel: HostPath
    uname: str
    name: str
    cmdline: str
    secret: bool = False


def check_ukify() -> None:
    """Raise ToolError, naming the package, when there is no ukify: before a long build."""
    try:
        find_tool(UKIFY)
    except ToolError as error:
        raise ToolError(
            "there is no program ukify, which makes unified kernel images",
            hint="apt-get install systemd-ukify systemd-boot-efi (Debian 13 and newer)",
        ) from error


def write_uki(parts: UkiParts, target: HostPath) -> Uki:
    """Make `target` of `parts`; it is replaced only by a verified file.

    Raises ToolError when ukify is missing or fails, VerifyError when what it wrote does not hold
    the very image, kernel and command line, SrbuildError for the folder and the disk.
    """
    check_ukify()
    with Draft(target, secret=parts.secret) as draft:
        run(_command(parts, draft.path), timeout=_SECONDS)
        _verify(parts, draft.path)
        size, sha256 = size_and_sha256(draft.path)
        draft.commit()
    return Uki(target, size, sha256)


def _command(parts: UkiParts, output: HostPath) -> tuple[str, ...]:
    """The command line of ukify: what it would else take from the building machine is given."""
    return (
        UKIFY,
        "build",
        f"--linux={parts.kernel}",
        f"--initrd={parts.image}",
        *([f"--cmdline={parts.cmdline}"] if parts.cmdline else []),
        f"--uname={parts.uname}",
        f"--os-release={_os_release(parts)}",
        f"--output={output}",
    )


def _os_release(parts: UkiParts) -> str:
    """What a boot menu shows, as os-release(5) has it."""
    fields = {
        "ID": "srbuild",
        "NAME": parts.name,
        "VERSION_ID": parts.uname,
        "PRETTY_NAME": f"{parts.name} ({parts.uname})",
    }
    return "".join(f'{name}="{plain(value)}"\n' for name, value in fields.items())


def plain(value: str) -> str:
    """`value` as a boot menu may show it: what could end its line or field becomes `_`."""
    return re.sub(r"[^A-Za-z0-9 ()+,.:_~-]", "_", value)


def _verify(parts: UkiParts, path: HostPath) -> None:
    """Compare the sections of `path` with what they were made of."""
    found = _sections(run((UKIFY, "inspect", str(path), "--json=short"), timeout=_SECONDS))
    cmdline = parts.cmdline.encode()
    wanted = {
        ".initrd": size_and_sha256(parts.image),
        ".linux": size_and_sha256(parts.kernel),
    }
    if cmdline:
        wanted[".cmdline"] = (len(cmdline), hashlib.sha256(cmdline).hexdigest())
    wrong = [
        f"{name}: {_tell(found.get(name))} where {_tell(meant)} was meant"
        for name, meant in wanted.items()
        if found.get(name) != meant
    ]
    if parts.secret and stat.S_IMODE(path.stat().st_mode) & 0o077:
        wrong.append("others may read it, and it holds secrets")
    if wrong:
        raise VerifyError(
            "ukify made something else than was asked for:\n  " + "\n  ".join(wrong),
            hint="is a ukify.conf in the way? ukify inspect shows the sections of a file",
        )


def _tell(section: tuple[int, str] | None) -> str:
    return f"{section[0]} bytes, sha256 {section[1][:12]}" if section else "nothing"


def _sections(inspected: Result) -> Mapping[str, tuple[int, str]]:
    """Section → its size and sha256, from the words of `ukify inspect --json=short`."""
    try:
        sections = json.loads(inspected.stdout)
        return {name: (int(it["size"]), str(it["sha256"])) for name, it in sections.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ToolError(
            "cannot make sense of what `ukify inspect` says",
            hint="ukify 255 or newer is needed",
        ) from error
