"""What a child tells: in order, together, and once."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from runner.worker.frames import Alive, Done, FrameReader, FromChild
from runner.worker.outbox import Outbox


class Bench:
    def __init__(self) -> None:
        self.pipe, self.theirs = socket.socketpair()
        self.breaks = 0
        self.outbox = Outbox(self.theirs, self._broken)

    def _broken(self) -> None:
        self.breaks += 1

    def heard(self) -> list[FromChild]:
        self.pipe.setblocking(False)
        try:
            return list(FrameReader(FromChild).feed(self.pipe.recv(1 << 16)))
        except BlockingIOError:
            return []


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.pipe.close()
    made.theirs.close()


def test_ends_wait_for_a_flush_and_share_a_frame(bench: Bench):
    bench.outbox.add(1, b"a")
    bench.outbox.add(2, b"b")
    assert bench.heard() == []
    bench.outbox.flush()
    assert bench.heard() == [Done([(1, b"a", b""), (2, b"b", b"")])]


def test_nothing_is_told_twice(bench: Bench):
    bench.outbox.add(1, b"a")
    bench.outbox.flush()
    bench.heard()
    bench.outbox.flush()
    assert bench.heard() == []


def test_a_note_is_told_at_once_with_what_had_ended(bench: Bench):
    bench.outbox.add(1, b"a")
    bench.outbox.note(Alive(2, b"3"))
    assert bench.heard() == [Alive(2, b"3"), Done([(1, b"a", b"")])]


def test_a_reader_that_is_gone_is_told_of(bench: Bench):
    bench.pipe.close()
    bench.outbox.note(Alive(1, b""))
    assert bench.breaks == 1
