"""What a child has to tell its supervisor, on its way into the pipe. Nothing is told twice, and nothing is left behind.

Whoever gets the lock sends for everybody; a batch is what gathered while the one before was sent. `add` alone sends
nothing: its caller flushes when it has nothing more to add, so that results of tasks that end at once share one frame.
"""

from __future__ import annotations

import socket
import threading
from collections import deque
from collections.abc import Callable

from runner.worker.frames import Done, FromChild, frame


class Outbox:
    """One per child; any thread may add and flush."""

    def __init__(self, pipe: socket.socket, on_broken: Callable[[], None]) -> None:
        """`on_broken` is called when nobody is there to read any more."""
        self._pipe = pipe
        self._on_broken = on_broken
        self._ended: deque[tuple[int, bytes, bytes]] = deque()
        self._notes: deque[FromChild] = deque()
        self._sending = threading.Lock()

    def add(self, number: int, outcome: bytes, output: bytes = b"") -> None:
        """An attempt ended. It is told with the next `flush` of anybody."""
        self._ended.append((number, outcome, output))

    def note(self, message: FromChild) -> None:
        """Tell this now."""
        self._notes.append(message)
        self.flush()

    def flush(self) -> None:
        while (self._ended or self._notes) and self._sending.acquire(blocking=False):
            try:
                parts = [frame(self._notes.popleft()) for _ in range(len(self._notes))]
                if ended := [self._ended.popleft() for _ in range(len(self._ended))]:
                    parts.append(frame(Done(ended)))
                self._pipe.sendall(b"".join(parts))
            except OSError:
                self._on_broken()
            finally:
                self._sending.release()
