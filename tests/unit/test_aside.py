"""A value found by another process: it comes back, or nothing does, and nobody stays behind."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator

import pytest

from srbuild.host.aside import Aside, may_fork

Start = Callable[[Callable[[], Iterable[object]]], Aside[object]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Begins with some work, which is stopped when the test ends."""
    with contextlib.ExitStack() as stack:

        def begin(work: Callable[[], Iterable[object]]) -> Aside[object]:
            aside = Aside(work)
            stack.callback(aside.stop)
            return aside

        yield begin


def test_values_come_back_from_another_process_in_order(start: Start) -> None:
    aside = start(lambda: (["x" * 3_000_000], None, "last"))
    assert aside.next() == ["x" * 3_000_000]
    assert aside.next() is None
    assert aside.next() == "last"
    assert aside.next() is None
    assert aside.next() is None


def test_a_value_is_there_before_the_next_one_is_begun(start: Start) -> None:
    read, write = os.pipe()
    aside = start(lambda: (wait() for wait in (os.getpid, lambda: os.read(read, 1))))
    assert aside.next() not in (None, os.getpid())
    os.write(write, b"x")
    assert aside.next() == b"x"
    os.close(read)
    os.close(write)


@pytest.mark.parametrize(
    "fail",
    [
        lambda: 1 // 0,
        lambda: os._exit(3),
        lambda: lambda: None,
        lambda: os.kill(os.getpid(), signal.SIGKILL),
    ],
    ids=["raises", "exits", "cannot be sent", "is killed"],
)
def test_what_fails_there_is_nothing_here(
    start: Start, fail: Callable[[], object], capfd: pytest.CaptureFixture[str]
) -> None:
    aside = start(lambda: (make() for make in (lambda: "first", fail, lambda: "never")))
    assert aside.next() == "first"
    assert aside.next() is None
    assert aside.next() is None
    assert capfd.readouterr() == ("", "")


def test_a_value_that_is_cut_short_is_nothing_here(start: Start) -> None:
    here = set(os.listdir("/proc/self/fd"))

    def cut() -> Iterator[object]:
        yield "whole"
        for fd in set(os.listdir("/proc/self/fd")) - here:  # the pipe's end is one of them
            with contextlib.suppress(OSError):
                os.write(int(fd), pickle.dumps("x" * 1000)[:500])
        os._exit(0)

    aside = start(cut)
    assert aside.next() == "whole"
    assert aside.next() is None


def test_stop_ends_what_would_never_end() -> None:
    read, write = os.pipe()
    aside = Aside(lambda: [os.write(write, b"%d" % os.getpid()), time.sleep(600)])
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
