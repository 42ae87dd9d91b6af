"""Messages between supervisor and child, however the stream is cut."""

from __future__ import annotations

import msgspec
import pytest

from runner.worker.frames import (
    Alive,
    Broken,
    Done,
    FrameReader,
    FromChild,
    Ready,
    Setup,
    Stack,
    Stop,
    TaskFrame,
    ToChild,
    Work,
    frame,
)

TASK = TaskFrame(7, b'{"worker":"w"}', b'{"a":"\xc3\xa4"}', 12.5, 3, "q", 1, 2)
TO_CHILD = [Setup(["workers"], 8, "a:b"), Work([TASK, TASK]), Stop([1, 2], "timeout")]
FROM_CHILD = [
    Ready({"w": b"{}"}), Broken("why", True), Done([(1, b"{}", b"1"), (2, b"", b"")]), Alive(1, b"3"), Stack(1, "at"),
]


@pytest.mark.parametrize("size", [1, 3, 7, 10_000])
def test_messages_arrive_whole_and_in_order(size: int):
    stream = b"".join(frame(message) for message in TO_CHILD)
    reader = FrameReader(ToChild)
    arrived = [m for begin in range(0, len(stream), size) for m in reader.feed(stream[begin : begin + size])]
    assert arrived == TO_CHILD


def test_the_other_direction_has_messages_of_its_own():
    arrived = list(FrameReader(FromChild).feed(b"".join(frame(message) for message in FROM_CHILD)))
    assert arrived == FROM_CHILD


def test_a_part_of_a_message_is_kept_until_the_rest_arrives():
    reader = FrameReader(ToChild)
    data = frame(TO_CHILD[0])
    assert list(reader.feed(data[:-1])) == []
    assert list(reader.feed(data[-1:])) == TO_CHILD[:1]


def test_a_message_of_the_other_direction_is_refused():
    with pytest.raises(msgspec.DecodeError):
        list(FrameReader(ToChild).feed(frame(Alive(1, b""))))
