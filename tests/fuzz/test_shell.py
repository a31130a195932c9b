"""What the boot scripts take apart, from hostile text: in batches, under both shells.

The kernel's command line, `ip=`, masks, `netroot=` and the checks of every type: whatever the text
is, the shell says yes or no, in time, runs nothing of it and prints nothing else. The two shells
agree.
"""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from srbuild.config.values import OPTION_TYPES
from support.shells import SHELLS, Machine

BATCH = int(os.environ.get("SRBUILD_FUZZ_BATCH", "300"))  # texts for each parser
TIMEOUT = 60  # seconds for a batch
SEED = int(os.environ.get("SRBUILD_FUZZ_SEED", "0"))
WORDS = [
    *("10.9.0.1", "fe80::1", "[fe80::1]", "255.255.255.0", "24", "eth0", "dhcp", "off", "none"),
    *("iscsi:", "iqn.2026-01.lab:x", "3260", "52:54:00:00:00:01", "ip=", "rd.srb.node=", "--"),
    *("0", "1e3", "99999999999999999999", "a" * 300, "$(touch hit)", "`touch hit`", "${IFS}"),
    *(";touch hit;", "[!a]", "{a,b}", "\\0", "%s%n", "-n", "-e", "==", "::"),
    *(":./[]-\"'\\*?~ \t\n=&|<>#!,\x01\x1b\x7f"),
    *("\x1b[2J", "é", "\ud7ff"),
]


def texts(kind: str) -> list[str]:
    """The same for both shells: words strung together, some cut somewhere."""
    choose = random.Random(f"{SEED} {kind}")

    def make() -> Iterator[str]:
        for _ in range(BATCH):
            text = "".join(choose.choices(WORDS, k=choose.randint(0, 9)))
            yield text[choose.randint(0, 3) :] if choose.random() < 0.2 else text

    return list(make())


def answers(folder: Path, script: str, lines: list[str]) -> dict[str, list[str]]:
    """What each shell prints for the texts, which come as arguments; nothing else may happen."""
    found = {}
    for name, shell in SHELLS.items():
        machine = Machine(folder / name, shell)
        command = [
            *machine.shell,
            "-eu",
            "-c",
            f'. "$SR_HOME/lib/base.sh"\n. "$SR_HOME/lib/ip.sh"\n{script}',
            "fuzz",
        ]
        before = {path for path in machine.root.rglob("*") if "state" not in path.parts}
        done = subprocess.run(
            command + lines,
            cwd=machine.root,
            env={"PATH": f"{machine.fakes}:{os.environ['PATH']}", "LC_ALL": "C",
                 "SR_ROOT": str(machine.root), "SR_HOME": str(machine.home),
                 "SR_RUN": str(machine.run_dir)},
            capture_output=True,
            timeout=TIMEOUT,
            check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, b"")
        assert machine.calls == []
        assert {path for path in machine.root.rglob("*") if "state" not in path.parts} == before
        found[name] = done.stdout.decode(errors="surrogateescape").split("\0")
    return found


def agreed(folder: Path, script: str, lines: list[str]) -> list[str]:
    found = answers(folder, script, lines)
    assert found["dash"] == found["busybox"]
    assert len(found["dash"]) == len(lines) + 1
    return found["dash"][:-1]


@pytest.mark.parametrize("kind", OPTION_TYPES)
def test_checks(tmp_path: Path, kind: str) -> None:
    lines = texts(kind)
    script = f"for text; do sr_check {kind} \"$text\" && printf 'y\\0' || printf 'n\\0'; done"
    for text, answer in zip(lines, agreed(tmp_path, script, lines), strict=True):
        harmless = text.isprintable() or not any(char < " " or char == "\x7f" for char in text)
        assert answer == "n" or harmless, text


def test_ip(tmp_path: Path) -> None:
    lines = texts("ip=")
    script = """for text; do
        if sr_ip_parse "$text"; then
            printf '%s|' "$ip_method" "$ip_address" "$ip_gateway" "$ip_prefix" "$ip_device" \\
                "$ip_dns" "$ip_mtu" "$ip_mac"
        else
            [ -n "$ip_error" ]
            printf n
        fi
        printf '\\0'
    done"""
    allowed = set("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.:_-|n ")
    for answer in agreed(tmp_path, script, lines):
        assert set(answer) <= allowed, answer


def test_masks(tmp_path: Path) -> None:
    script = "for text; do sr_mask_to_prefix \"$text\" || printf 'n\\n'; printf '\\0'; done"
    for answer in agreed(tmp_path, script, texts("mask")):
        assert answer == "n\n" or 0 <= int(answer) <= 128


def test_command_line(tmp_path: Path) -> None:
    script = """for text; do
        printf '%s\\n' "$text" | sr_cmdline_parse >"$SR_RUN/cmdline"
        sr_cmdline ip || :
        cat "$SR_RUN/cmdline"
        printf '\\0'
    done"""
    for answer in agreed(tmp_path, script, texts("cmdline")[: BATCH // 3]):
        assert not any(char < " " and char != "\n" for char in answer)


def test_netroot(tmp_path: Path) -> None:
    """attach.sh is run whole, for each text: it may only refuse it."""
    project = Path(__file__).resolve().parents[2]
    lines = ["iscsi:" + text for text in texts("netroot")[: BATCH // 10]]
    lines = [text for text in lines if text.isprintable()]  # others never get past sr_check
    options = {"SR_ISCSI_TIMEOUT": "1", "SR_ISCSI_INITIATOR": "iqn.2026-01.lab:n"}
    for name, shell in SHELLS.items():
        machine = Machine(tmp_path / name, shell)
        for tool in ("iscsistart", "iscsiadm", "iscsid"):
            machine.fake(tool, "exit 1", record=False)
        for text in lines:
            done = machine.module("block/iscsi", "attach.sh", **options, SR_ISCSI_NETROOT=text)
            assert done.returncode != 0, text
            assert "\x1b" not in done.stdout + done.stderr
            assert not list(machine.root.rglob("hit"))
        assert not (project / "hit").exists()
