"""Commands of `srbuild local` killed before any of their changes: all is whole, nothing lost."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from srbuild.errors import SrbuildError
from support.localroot import call, call_and_kill, make_root, texts

NODES = ("n1", "n2", "n3")
PATHS = ("/srv/app", "/srv/app/data", "/var/log", "/etc/hostname", "/srv/new")
KILL = st.none() | st.integers(1, 60)


class Shared(RuleBasedStateMachine):
    """Any commands in any order, with kills between; files are written meanwhile."""

    @initialize()
    def begin(self) -> None:
        self.fsync, os.fsync = os.fsync, lambda _: None
        self.folder = Path(tempfile.mkdtemp())
        self.root = make_root(self.folder / "root")
        self.texts = {text for _, text in texts(self.root)}
        self.count = 0
        call(self.root, "init")

    def give(self, kill: int | None, *words: str) -> None:
        """Give a command, killed or not; the next one is `check`, which finishes it."""
        try:
            if kill is None:
                call(self.root, *words)
            else:
                call_and_kill(self.root, kill, *words)
        except SrbuildError:
            pass  # what can't be is refused: that it changes nothing is what the invariants say

    @rule(path=st.sampled_from(PATHS), kill=KILL, kind=st.sampled_from(["", "dir", "file"]))
    def add(self, path: str, kill: int | None, kind: str) -> None:
        if kind and not (self.root / path[1:]).exists():
            self.give(kill, "add", path, "--kind", kind)
        else:
            self.give(kill, "add", path)

    @rule(path=st.sampled_from(PATHS), kill=KILL, aside=st.booleans())
    def remove(self, path: str, kill: int | None, aside: bool) -> None:
        self.give(kill, "remove", path, *(["--put-aside"] if aside else []))

    @rule(kill=KILL, origin=st.sampled_from(["", *NODES]))
    def share(self, kill: int | None, origin: str) -> None:
        self.give(kill, "share", "/var/log/audit", *(["--from", origin] if origin else []))

    @rule(node=st.sampled_from(NODES), kill=KILL)
    def add_node(self, node: str, kill: int | None) -> None:
        self.give(kill, "add-node", node)

    @rule(node=st.sampled_from(NODES), kill=KILL)
    def remove_node(self, node: str, kill: int | None) -> None:
        self.give(kill, "remove-node", node)

    @rule(kill=KILL)
    def init(self, kill: int | None) -> None:
        self.give(kill, "init")

    @rule(node=st.sampled_from(NODES))
    def write(self, node: str) -> None:
        log = self.root / ".srbuild/nodes" / node / "var/log"
        if log.is_dir():
            self.count += 1
            text = f"written {self.count}\n"
            (log / f"of-{self.count}").write_text(text)
            self.texts.add(text)

    @invariant()
    def check_accepts_it(self) -> None:
        if hasattr(self, "root"):
            assert "nothing to fight over" in call(self.root, "check")
            left = {path.name for path in (self.root / ".srbuild").iterdir()}
            assert "journal" not in left

    @invariant()
    def no_file_is_lost(self) -> None:
        if hasattr(self, "root"):
            there = {text for _, text in texts(self.root)}
            assert self.texts <= there
            shared = {name for name, _ in texts(self.root) if not name.startswith(".srbuild/")}
            assert "srv/app/conf" in shared
            assert "etc/hostname" in shared

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            os.fsync = self.fsync
            shutil.rmtree(self.folder)


TestShared = Shared.TestCase
TestShared.settings = settings(
    max_examples=12,
    stateful_step_count=8,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


@pytest.fixture(autouse=True)
def no_waiting_for_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A killed process loses nothing that it has written: only a lost machine does."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = make_root(tmp_path / "root")
    call(made, "init")
    return made


@pytest.mark.parametrize(
    "words", [["add-node", "n2"], ["remove-node", "n1"], ["remove", "/srv/app", "--put-aside"]],
    ids=lambda words: words[0],
)  # fmt: skip
def test_killed_before_each_of_its_changes(root: Path, words: list[str]) -> None:
    call(root, "add", "/srv/app")
    call(root, "add-node", "n1")
    before = {text for _, text in texts(root)}
    done = root.with_name("done")
    shutil.copytree(root, done, symlinks=True)
    call(done, *words)
    wanted = sorted(name for name, _ in texts(done) if "/kept/" not in name)
    at = 0
    is_killed = True
    while is_killed:
        at += 3
        one = root.with_name(f"at-{at}")
        shutil.copytree(root, one, symlinks=True)
        is_killed = call_and_kill(one, at, *words)
        had_begun = (one / ".srbuild/journal").exists()
        call(one, "check")
        assert before <= {text for _, text in texts(one)}
        found = sorted(name for name, _ in texts(one) if "/kept/" not in name)
        if had_begun or not is_killed:
            assert found == wanted, at
        call(one, "init")  # takes over the lock of who was killed
        assert not (one / ".srbuild/new").exists()
        assert not [*(one / ".srbuild").glob("lock*")]
        shutil.rmtree(one)
    assert at > 3


def test_the_program_killed_as_it_runs(root: Path) -> None:
    for number in range(80):
        (root / f"srv/app/{number}").write_text(f"{number}")
    call(root, "add", "/srv/app")
    srbuild = str(Path(sys.executable).parent / "srbuild")
    killed = 0
    for number in range(4):
        argv = [srbuild, "local", "add-node", "--root", str(root), f"n{number}"]
        process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        journal = root / ".srbuild/journal"
        while process.poll() is None and not journal.exists():
            os.sched_yield()
        begin = time.monotonic()
        while process.poll() is None and time.monotonic() - begin < number * 0.02:
            os.sched_yield()
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        assert "nothing to fight over" in call(root, "check")
        own = root / ".srbuild/nodes" / f"n{number}/srv/app"
        assert len([*own.iterdir()]) == len([*(root / "srv/app").iterdir()])
    assert killed


def test_of_several_at_once_each_is_done_or_refused(root: Path) -> None:
    srbuild = str(Path(sys.executable).parent / "srbuild")
    base = [srbuild, "local", "add-node", "--root", str(root)]
    started = [
        subprocess.Popen([*base, name], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for name in ("n1", "n1", "n2", "n3")
    ]
    said = [process.communicate(timeout=120)[1] for process in started]
    codes = [process.returncode for process in started]
    assert set(codes) <= {0, 5}, said
    assert 0 in codes
    made = {path.name for path in (root / ".srbuild/nodes").iterdir()}
    assert len(made) == codes.count(0)
    assert "nothing to fight over" in call(root, "check")
    assert not [*(root / ".srbuild").glob("lock*")]
