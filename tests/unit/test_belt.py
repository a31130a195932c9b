"""The belt between the thread that reads and the one that compresses."""

from __future__ import annotations

import threading

import pytest

from srbuild.belt import DEPTH, Belt


def test_everything_is_taken_in_order_by_another_thread() -> None:
    taken: list[bytes] = []
    threads: set[int] = set()

    def take(piece: bytes | memoryview) -> None:
        taken.append(bytes(piece))
        threads.add(threading.get_ident())

    pieces = [b"%d" % number for number in range(10 * DEPTH)]
    with Belt(take) as belt:
        for piece in pieces:
            belt.write(piece)
    assert taken == pieces
    assert threads.isdisjoint({threading.get_ident()})


def test_a_buffer_can_be_reused_as_soon_as_it_was_written() -> None:
    taken: list[bytes | memoryview] = []
    may_take = threading.Event()
    buffer = bytearray(1)
    with Belt(lambda piece: may_take.wait(30) and taken.append(piece)) as belt:
        for number in range(5):
            buffer[0] = number
            belt.write(memoryview(buffer))
        may_take.set()
    assert taken == [b"\0", b"\1", b"\2", b"\3", b"\4"]


def test_the_writer_waits_while_the_belt_is_full() -> None:
    may_take, is_written = threading.Event(), threading.Event()

    def write() -> None:
        with Belt(lambda _piece: may_take.wait(30)) as belt:
            for _ in range(DEPTH + 1):
                belt.write(b"a")
            is_written.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert not is_written.wait(0.2)
    finally:
        may_take.set()
        writer.join(30)
    assert is_written.is_set()


@pytest.mark.parametrize("count", [1, 3 * DEPTH])
def test_what_the_taker_raises_is_raised_here(count: int) -> None:
    def take(_piece: bytes | memoryview) -> None:
        raise OSError("full")

    def fill() -> None:
        with Belt(take) as belt:
            for _ in range(count):
                belt.write(b"a")

    before = threading.active_count()
    with pytest.raises(OSError, match="full"):
        fill()
    assert threading.active_count() == before


def test_after_an_error_here_nothing_more_is_taken() -> None:
    taken: list[bytes | memoryview] = []
    may_take = threading.Event()

    def take(piece: bytes | memoryview) -> None:
        may_take.wait(30)
        taken.append(piece)

    def fail(belt: Belt) -> None:
        belt.write(b"a")
        belt.write(b"b")
        threading.Timer(0.1, may_take.set).start()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Belt(take) as belt:
        fail(belt)
    assert len(taken) <= 1
