"""A value found by another process: it comes back, or nothing does, and nobody stays behind."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

import pytest

from srbuild.host.aside import Aside, may_fork


def run(work: Callable[[], object]) -> object:
    aside = Aside(work)
    try:
        return aside.result()
    finally:
        aside.stop()


def test_a_value_comes_back_from_another_process() -> None:
    here = os.getpid()
    value, pid = run(lambda: (["x" * 3_000_000], os.getpid()))  # type: ignore[misc]
    assert value == ["x" * 3_000_000]
    assert pid != here


@pytest.mark.parametrize("how", [lambda: 1 // 0, lambda: os._exit(3), lambda: lambda: None])
def test_what_fails_there_is_nothing_here(
    how: Callable[[], object], capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(how) is None
    assert capfd.readouterr() == ("", "")


def test_a_process_that_is_killed_is_nothing_here() -> None:
    assert run(lambda: os.kill(os.getpid(), signal.SIGKILL)) is None


def test_stop_ends_what_would_never_end() -> None:
    read, write = os.pipe()
    aside: Aside[None] = Aside(lambda: (os.write(write, b"%d" % os.getpid()), time.sleep(600))[1])
    pid = int(os.read(read, 20))
    aside.stop()
    aside.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    os.close(read)
    os.close(write)


def test_no_process_is_forked_beside_a_thread_or_for_one_processor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1})
    assert may_fork()
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0})
    assert not may_fork()
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1})
    monkeypatch.setattr(threading, "active_count", lambda: 2)
    assert not may_fork()
