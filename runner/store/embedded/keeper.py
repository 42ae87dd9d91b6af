"""The keeper: the parent of an embedded server, from before it starts until after it ended.

A program of its own (`python -m runner.store.embedded.keeper`, started by attach.py beside it), so that no user of
the server is its parent. It imports the standard library only, to be there in milliseconds. The rules:

- It holds keeper.lock (taken by the user who started it) to its end; nobody else touches server or status then.
- The server inherits data.lock. Two servers on one data folder would both start, and destroy it.
- It waits for users.lock alone. Once it has it there is no user left and none can come, so it may end the server.
- The server dies with its keeper (PDEATHSIG; where there is none, the next keeper asks it to go).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from runner.store.embedded.home import Kept, ServerHome, Written
from runner.store.embedded.process import answers, ask, parent_death_signal, server_command, server_environment
from runner.store.embedded.start_failure import advise, explain
from runner.store.file_lock import open_lock, try_lock

LOAD_TIMEOUT_S = 60.0  # a server that reads a large data folder
ORPHAN_TIMEOUT_S = 10.0  # the server of a keeper that was killed
SHUTDOWN_TIMEOUT_S = 10.0
MAX_DEATHS = 5  # of the server, within DEATHS_WITHIN_S: then something is wrong that starting it does not mend
DEATHS_WITHIN_S = 10.0


class KeeperError(Exception):
    """The server cannot be kept; the message is for the user."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """What to keep. `keeper_lock` and `ready` are inherited descriptors."""

    home: str
    socket: str
    binary: str
    engine: str
    version: str
    durability: str
    keeper_lock: int
    ready: int  # a pipe: one JSON object {"error": …}, "" when the server answers


class Keeper:
    """One server and its restarts."""

    def __init__(self, assignment: Assignment) -> None:
        self._assignment = assignment
        self._home = ServerHome(Path(assignment.home))
        self._socket = Path(assignment.socket)
        self._preexec = parent_death_signal()
        # Now, not when they are needed: the folder may be deleted, even made anew, and then hold other files.
        self._data_lock = open_lock(self._home.data_lock)
        self._users_lock = open_lock(self._home.users_lock)
        self._server: subprocess.Popen[bytes] | None = None
        self._ready: int | None = assignment.ready
        self._deaths: list[float] = []
        self._alone = False
        self._told_to_stop = False
        # Every reason to wake up is a byte in this pipe: signals (SIGCHLD, SIGTERM) and the lock's thread.
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)

    def keep(self) -> int:
        """From start to end. The exit code."""
        signal.set_wakeup_fd(self._wake_write)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # a handler, or the signal would write no byte
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        failure = ""
        try:
            if self._is_disowned():
                raise KeeperError(f"{self._home.path} was deleted while its server was being started")
            self._inherit_data()
            self._start()
            self._report("")
            threading.Thread(target=self._wait_until_alone, daemon=True).start()
            while not self._alone and not self._told_to_stop:
                self._sleep(1.0)
                self._mend()
        except (KeeperError, OSError) as error:
            failure = str(error)
            if isinstance(error, OSError):  # of the disk: a full one, or one that can be read only
                failure = f"the embedded server cannot be kept: {error}\n{advise(self._home, failure)}".rstrip()
            self._log(f"giving up: {failure}")
        self._end()
        # Only now: whoever reads it may start another server at once.
        self._report(failure)
        return 1 if failure else 0

    # -- start ------------------------------------------------------------------------------------
    def _inherit_data(self) -> None:
        """Wait until no server has the data. One whose keeper was killed is on its way out."""
        deadline = time.monotonic() + ORPHAN_TIMEOUT_S
        asked = False
        while not try_lock(self._data_lock):
            if not asked:
                asked = True
                self._log("the server of a keeper before still runs: asking it to end")
                self._ask_to_shut_down()
            if time.monotonic() > deadline:
                raise KeeperError(
                    f"another server still holds {self._home.data} and does not end (fuser {self._home.data_lock} "
                    "names its process): end it"
                )
            self._sleep(0.005)

    def _start(self) -> None:
        job = self._assignment
        offset = self._home.log.stat().st_size if self._home.log.exists() else 0
        try:
            self._server = subprocess.Popen(
                server_command(job.binary, job.socket, self._home.data, job.durability),
                env=server_environment(), stdin=subprocess.DEVNULL, pass_fds=(self._data_lock,),
                preexec_fn=self._preexec,
            )  # fmt: skip
        except OSError as error:
            raise KeeperError(f"{job.binary} does not start: {error}") from error
        deadline = time.monotonic() + LOAD_TIMEOUT_S
        while not answers(job.socket):
            if self._server.poll() is not None:
                raise KeeperError(explain(self._home, offset, job.engine, job.version, job.binary))
            if self._told_to_stop or time.monotonic() > deadline:
                reason = "was told to stop" if self._told_to_stop else f"did not answer within {LOAD_TIMEOUT_S:.0f} s"
                raise KeeperError(f"{job.engine} {job.version} {reason}; its log is {self._home.log}")
            self._sleep(0.002)
        self._home.write_written(Written(job.engine, job.version))
        host, pid = os.uname().nodename, self._server.pid
        self._home.write_kept(Kept(host, os.getpid(), pid, job.socket, job.engine, job.version, job.durability))

    def _report(self, error: str) -> None:
        """Tell the user who started this keeper, once; it may have been killed in the meantime."""
        if self._ready is None:
            return
        with contextlib.suppress(BrokenPipeError):
            os.write(self._ready, json.dumps({"error": error}).encode())
        os.close(self._ready)
        self._ready = None

    # -- meanwhile --------------------------------------------------------------------------------
    def _wait_until_alone(self) -> None:
        """On a thread: block for users.lock. Newcomers get it shared while this waits, so it ends with the last."""
        try:
            fcntl.flock(self._users_lock, fcntl.LOCK_EX)
        finally:  # also if that failed: a keeper that does not know its users must not stay for ever
            self._alone = True
            os.write(self._wake_write, b"\0")

    def _mend(self) -> None:
        """Start the server again if it died, or if its socket was removed (cleaners of /tmp, a logout)."""
        assert self._server is not None
        if self._alone or self._told_to_stop:
            return
        if self._server.poll() is None:
            if self._socket.exists() or self._is_disowned():
                return
            self._log(f"{self._socket} is gone: starting the server again")
            self._shut_down()
        else:
            self._log(f"the server ended (code {self._server.returncode}) while it is in use: starting it again")
        now = time.monotonic()
        self._deaths = [*(death for death in self._deaths if now - death < DEATHS_WITHIN_S), now]
        if len(self._deaths) >= MAX_DEATHS:
            raise KeeperError(f"the server ended {MAX_DEATHS} times within {DEATHS_WITHIN_S:.0f} s")
        self._start()

    def _is_disowned(self) -> bool:
        """The folder was deleted, perhaps made anew: its paths are another server's then."""
        try:
            there = self._home.keeper_lock.stat()
        except FileNotFoundError:
            return True
        return not os.path.samestat(there, os.fstat(self._assignment.keeper_lock))

    # -- end --------------------------------------------------------------------------------------
    def _end(self) -> None:
        if self._is_disowned():
            if self._server is not None:
                self._server.kill()  # not asked to: it would remove the socket of the server that came after
                self._server.wait()
        else:
            self._home.status.unlink(missing_ok=True)  # first: nobody may come to a server that ends
            self._shut_down()
        self._log("the server ended, and so does its keeper")

    def _shut_down(self) -> None:
        if self._server is None or self._server.poll() is not None:
            return
        if self._ask_to_shut_down() and self._ended_within(SHUTDOWN_TIMEOUT_S / 2):
            return
        self._server.terminate()
        if not self._ended_within(SHUTDOWN_TIMEOUT_S / 2):
            self._log("the server does not end: killing it")
            self._server.kill()
            self._server.wait()

    def _ask_to_shut_down(self) -> bool:
        """By command, as SIGTERM waits for the server's next tick (100 ms). It writes its file out first.
        False: it was not heard, or will not."""
        try:
            return ask(self._socket, "SHUTDOWN", "NOSAVE") == b""  # the end of the connection is the answer
        except ConnectionResetError:
            return True
        except OSError:
            return False

    def _ended_within(self, seconds: float) -> bool:
        assert self._server is not None
        deadline = time.monotonic() + seconds
        while self._server.poll() is None:
            if time.monotonic() > deadline:
                return False
            self._sleep(0.05)
        return True

    # -- waiting ----------------------------------------------------------------------------------
    def _stop(self, *_: object) -> None:
        self._told_to_stop = True

    def _sleep(self, seconds: float) -> None:
        """Until something happens, at most so long."""
        if select.select([self._wake_read], [], [], seconds)[0]:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake_read, 4096)

    def _log(self, text: str) -> None:
        """Beside the server's lines and in their form; K is for keeper."""
        with contextlib.suppress(OSError):  # a full disk: the server is ended in order all the same
            print(f"{os.getpid()}:K {datetime.now():%d %b %Y %H:%M:%S.%f}"[:-3] + f" * {text}", flush=True)


def main() -> int:
    """Detach for good, then keep. The parent's end tells the user only that this process exists."""
    assignment = Assignment(**json.loads(sys.argv[1]))
    if os.fork():
        os._exit(0)  # so that the keeper is nobody's child, and no user has to wait for it
    os.umask(0o077)
    return Keeper(assignment).keep()


def keeper_command(assignment: Assignment) -> list[str]:
    """-S, -P: it needs no installed package, and nothing of the folder it happens to start in."""
    arguments = json.dumps(asdict(assignment))
    module = "runner.store.embedded.keeper"
    return [sys.executable, "-S", "-P", "-W", "ignore::DeprecationWarning", "-m", module, arguments]


if __name__ == "__main__":
    sys.exit(main())
