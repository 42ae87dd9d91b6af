"""One child as its supervisor sees it: a process, and a socket that is never waited for.

Children are started by executing Python anew and not by forking: a supervisor has threads and connections to Redis, and
a fork would copy their locks and sockets in whatever state they are. It costs the start of an interpreter (some 0.2 s),
once per child and again after a kill, and the replacement starts while the old child is still being waited for.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence

import msgspec

from runner.worker.frames import FrameReader, FromChild, ToChild, frame

_BOOT = """import json, sys
sys.path[:] = json.loads(sys.argv[1])
from runner.worker.child import main
main(sys.argv[2:])"""
_RECEIVE_BYTES = 1 << 16  # more is mapped and unmapped by the allocator each time: ten times as long as the read itself


class ChildProcess:
    """Methods are called under the supervisor's lock, but for `receive`, which only one thread calls."""

    def __init__(self, number: int, *, born_at_s: float, inherited: Sequence[int] = (), is_cell: bool = False) -> None:
        """Raises OSError when there is no room for another process. is_cell: it runs one attempt at a time."""
        ours, theirs = socket.socketpair()
        with theirs, contextlib.ExitStack() as on_failure:
            on_failure.callback(ours.close)
            command = [sys.executable, *(f"-W{option}" for option in sys.warnoptions), "-c", _BOOT]
            self._process = subprocess.Popen(
                [*command, json.dumps(sys.path), str(theirs.fileno()), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), *inherited),
                process_group=0,  # so that what a worker starts can be killed with it
            )
            on_failure.pop_all()
        ours.setblocking(False)
        self.number = number
        self.born_at_s = born_at_s
        self.pid = self._process.pid
        self.socket = ours
        self.death: int | None = os.pidfd_open(self.pid) if hasattr(os, "pidfd_open") else None  # readable when dead
        self.is_cell = is_cell
        self.is_ready = False
        self.is_retiring = False  # takes nothing new, and ends when it is empty
        self.was_killed = False
        self.ended_unasked = False  # its end was noticed before anybody had asked for it
        self.closed_at_s = 0.0
        self._reader = FrameReader(FromChild)
        self._backlog = bytearray()

    @property
    def takes_attempts(self) -> bool:
        return self.is_ready and not (self.is_retiring or self.was_killed or self.closed_at_s)

    @property
    def has_backlog(self) -> bool:
        return bool(self._backlog)

    def send(self, message: ToChild) -> None:
        """As much as fits into the socket now; the rest waits for `flush`."""
        self._backlog += frame(message)
        self.flush()

    def flush(self) -> None:
        while self._backlog and not self.closed_at_s:
            try:
                sent = self.socket.send(self._backlog)
            except BlockingIOError:
                return
            except OSError:  # it died; whoever waits for its death will know
                self._backlog.clear()
                return
            del self._backlog[:sent]

    def receive(self) -> Iterator[FromChild]:
        """What has arrived. Raises EOFError when nothing will any more, or nothing that makes sense."""
        try:
            data = self.socket.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            raise EOFError from error
        if not data:
            raise EOFError
        try:
            yield from self._reader.feed(data)
        except msgspec.DecodeError as error:
            raise EOFError from error

    def last_words(self) -> Iterator[FromChild]:
        """Everything that a dead child had still said."""
        with contextlib.suppress(OSError, msgspec.DecodeError):
            while data := self.socket.recv(_RECEIVE_BYTES):
                yield from self._reader.feed(data)

    def close(self, now_s: float) -> None:
        """Let it end by itself: it reads the end of the stream when nothing runs in it."""
        if not self.closed_at_s:
            self.closed_at_s = now_s
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_WR)

    def kill(self) -> None:
        """And with it what its workers have started, as far as that is in its process group."""
        self.was_killed = True
        self._signal_group()

    def is_dead(self) -> bool:
        """Also collects it; its process id means nothing afterwards."""
        if self._process.returncode is not None:
            return True
        with contextlib.suppress(ChildProcessError):  # the host ignores SIGCHLD, so the kernel has collected it
            if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                return False
        if not self.closed_at_s:
            # While its id is still its own: what it started must not outlive the attempts that are reported lost.
            self._signal_group()
        self._process.wait()
        return True

    def describe_end(self) -> str:
        code = self._process.returncode
        if code is not None and code < 0:
            names = {each.value: each.name for each in signal.Signals}
            return f"was killed by {names.get(-code, f'signal {-code}')}"
        return f"exited with status {code}"

    def release(self) -> None:
        """Its descriptors; after its death."""
        self.socket.close()
        if self.death is not None:
            os.close(self.death)
            self.death = None

    def _signal_group(self) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
