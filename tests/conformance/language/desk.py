"""Where the scripted workers of a real worker process ask what they are to do, and the test tells them."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.conformance.language.scenario import Answer


@dataclass(eq=False)
class Asking:
    """A worker that waits for its answer."""

    facts: dict[str, Any]
    line: socket.socket
    is_told: bool = False

    def tell(self, answer: Answer) -> None:
        self.is_told = True
        self.line.sendall(json.dumps({**asdict(answer), **answer.more}).encode() + b"\n")

    def tell_manner(self, answer: Answer) -> None:
        manner = {"beats": answer.beats, "ignores_stop": answer.ignores_stop}
        self.line.sendall(json.dumps(manner).encode() + b"\n")


@dataclass
class Desk:
    """Open calls by (run, path): at most one task of a node is out at any time."""

    path: Path
    open: dict[tuple[str, str], Asking] = field(default_factory=dict)
    asked: list[dict[str, Any]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(self.path))
        self._socket.listen(64)
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                line, _ = self._socket.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._listen, args=(line,), daemon=True).start()

    def _listen(self, line: socket.socket) -> None:
        """One worker's call, from its question until it hangs up: it was answered, asked to stop or killed."""
        with line, line.makefile("rb") as lines:
            facts = json.loads(lines.readline())
            place, asking = (facts["run"], facts["path"]), Asking(facts, line)
            with self.lock:
                self.open[place] = asking
                self.asked.append(facts)
            with contextlib.suppress(ConnectionResetError):
                lines.read()
            with self.lock:
                if self.open.get(place) is asking:
                    del self.open[place]
