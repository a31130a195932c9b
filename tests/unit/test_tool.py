"""srbuild.host.tool against real programs."""

from __future__ import annotations

import os
import shlex
import subprocess
import threading
import time
from pathlib import Path

import pytest

from srbuild.errors import ToolError
from srbuild.host.tool import find_tool, pasteable, run


def alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped doesn't."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def wait_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while alive(pid):
        assert time.monotonic() < deadline, f"process {pid} still runs"
        time.sleep(0.02)


def test_gives_input_and_returns_both_outputs(tmp_path: Path) -> None:
    result = run(
        ["sh", "-c", 'cat; pwd >&2; printf %s "$WORD"'],
        timeout=10,
        cwd=tmp_path,
        env={"WORD": "two words"},
        input=b"\xff\x00in ",
    )
    assert result.stdout == b"\xff\x00in two words"
    assert result.stderr.decode() == f"{tmp_path}\n"
    assert result.status == 0
    assert result.text == "\udcff\x00in two words"
    assert 0 < result.seconds < 10


def test_arguments_reach_the_program_unchanged() -> None:
    words = ["a b", "$HOME", "*", "'", ""]
    assert run(["printf", "%s\n", *words], timeout=10).text.splitlines() == words


def test_keeps_the_environment_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_OUTSIDE", "kept")
    result = run(["sh", "-c", 'echo "$FROM_OUTSIDE" "$PATH"'], timeout=10)
    assert result.text.startswith("kept ")
    assert "/usr/sbin" in result.text.split()[1].split(":")


def test_a_failure_names_command_status_and_last_lines(tmp_path: Path) -> None:
    script = "for i in $(seq 40); do echo line $i >&2; done; exit 7"
    with pytest.raises(ToolError) as caught:
        run(["sh", "-c", script], timeout=10, cwd=tmp_path, env={"A": "b c"})
    error = caught.value
    assert error.exit_code == 6
    assert error.message.startswith("sh failed with status 7:")
    assert error.message.rstrip().endswith("line 40")
    assert "line 29\n" in error.message
    assert "line 28\n" not in error.message
    command = error.hint.partition(": ")[2]
    again = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert again.returncode == 7, "the command in the hint can be pasted"
    assert again.stderr.endswith("line 40\n")


def test_a_failure_without_stderr_shows_stdout() -> None:
    with pytest.raises(ToolError, match="told on stdout"):
        run(["sh", "-c", "echo told on stdout; false"], timeout=10)


def test_unchecked_failure_is_a_result() -> None:
    assert run(["false"], timeout=10, check=False).status == 1


def test_a_signal_is_named() -> None:
    with pytest.raises(ToolError, match="was ended by SIGKILL"):
        run(["sh", "-c", "kill -KILL $$"], timeout=10)


def test_a_missing_program_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("srbuild.host.tool.SBIN", ())
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ToolError) as caught:
        run(["depmod", "-a"], timeout=10)
    assert caught.value.message == "there is no program depmod"
    assert caught.value.hint.endswith("install it with: apt-get install kmod")


def test_a_missing_path_suggests_no_package(tmp_path: Path) -> None:
    with pytest.raises(ToolError) as caught:
        run([tmp_path / "absent"], timeout=10)
    assert "apt-get" not in caught.value.hint


def test_a_program_that_cannot_be_executed(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF nonsense")
    broken.chmod(0o755)
    with pytest.raises(ToolError, match=r"cannot run .*broken"):
        run([broken], timeout=10)


def test_finds_programs_in_sbin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert find_tool("depmod").name == "depmod"


@pytest.mark.parametrize("stubborn", [False, True])
def test_a_timeout_ends_the_program_and_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stubborn: bool
) -> None:
    monkeypatch.setattr("srbuild.host.tool.KILL_AFTER", 0.3)
    pids = tmp_path / "pids"
    trap = "trap '' TERM;" if stubborn else ""
    script = f"{trap} echo begun; sleep 60 & echo $$ $! > {shlex.quote(str(pids))}; wait; sleep 60"
    started = time.monotonic()
    with pytest.raises(ToolError, match=r"sh did not end within 0\.5 s:\n +begun"):
        run(["sh", "-c", script], timeout=0.5)
    assert time.monotonic() - started < 10
    for pid in pids.read_text().split():
        wait_gone(int(pid))


def test_an_interrupt_ends_the_program(tmp_path: Path) -> None:
    pid = tmp_path / "pid"

    def interrupt() -> None:
        while not (pid.exists() and pid.read_text()):
            time.sleep(0.01)
        os.kill(os.getpid(), 2)

    # The wait lets Popen come back first: no one could end a program that it has not named yet.
    script = f"sleep 0.5; echo $$ > {shlex.quote(str(pid))}; exec sleep 60"
    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        run(["sh", "-c", script], timeout=30)
    wait_gone(int(pid.read_text()))


def test_pasteable_quotes_everything(tmp_path: Path) -> None:
    place = tmp_path / "a b"
    place.mkdir()
    text = pasteable(["printf", "[%s]", "it's", "$A"], place, {"A": "x y"})
    done = subprocess.run(["sh", "-c", f"{text}; pwd"], capture_output=True, text=True, check=True)
    assert done.stdout == f"[it's][$A]{place}\n"
