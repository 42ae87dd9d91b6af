"""What supervisor and child say to each other, and how it is cut out of a byte stream: length, then msgpack.

Both ends are always the same version of this package, so fields go by position. A frame carries as many tasks or
outcomes as there were to tell, never one by one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import msgspec


class TaskFrame(msgspec.Struct, frozen=True, array_like=True):
    """A task for a child. `number` names the attempt between the two; the deadline is in seconds of uptime_s."""

    number: int
    message: bytes
    payload: bytes
    deadline_s: float
    fence: int
    queue: str
    queued_at_ms: int
    claimed_at_ms: int


class Setup(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """The first frame to a child: what to import. `hook` is a function to call before, as "module:name"."""

    modules: list[str]
    slots: int
    hook: str = ""
    process: str = ""  # id of the supervisor


class Work(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Begin these at once."""

    tasks: list[TaskFrame]


class Stop(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """Ask these attempts to stop."""

    numbers: list[int]
    reason: str


class Ready(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """The first frame from a child: its workers' contracts as JSON."""

    contracts: dict[str, bytes]


class Broken(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """Instead of Ready: the modules cannot be loaded. `is_config`: and the text alone says why."""

    text: str
    is_config: bool


class Done(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """(number, outcome JSON, output JSON) of attempts that ended."""

    outcomes: list[tuple[int, bytes, bytes]]


class Alive(msgspec.Struct, frozen=True, array_like=True, tag=7):
    """A heartbeat of user code; `details` is JSON, or empty."""

    number: int
    details: bytes


class Stack(msgspec.Struct, frozen=True, array_like=True, tag=8):
    """Where an attempt was when it was asked to stop."""

    number: int
    text: str


class Logged(msgspec.Struct, frozen=True, array_like=True, tag=9):
    """The last lines that an attempt logged so far, should it not live to tell them itself."""

    number: int
    text: str


ToChild = Setup | Work | Stop
FromChild = Ready | Broken | Done | Alive | Stack | Logged

_LENGTH = struct.Struct("<I")
_encoder = msgspec.msgpack.Encoder()


def frame(message: ToChild | FromChild) -> bytes:
    body = _encoder.encode(message)
    return _LENGTH.pack(len(body)) + body


class FrameReader:
    """Cuts messages of one direction out of what arrives."""

    def __init__(self, direction: Any) -> None:
        self._decode = msgspec.msgpack.Decoder(direction).decode
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Any]:
        """Every message that is complete now. Raises msgspec.DecodeError when the stream is no stream of frames."""
        buffer = self._buffer
        buffer += data
        begin = 0
        while len(buffer) - begin >= 4:
            end = begin + 4 + _LENGTH.unpack_from(buffer, begin)[0]
            if len(buffer) < end:
                break
            yield self._decode(bytes(buffer[begin + 4 : end]))
            begin = end
        del buffer[:begin]
