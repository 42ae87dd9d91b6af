"""The embedded server: a Redis or Valkey of the project's own, there while anybody uses it.

Every user holds users.lock, shared, for as long as it uses the server; while one does, the keeper cannot end it.
So a user takes that lock first and looks for a server after, never the other way round.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from runner.errors import ServerRefused, StoreUnavailable, UsageError
from runner.store.embedded.binary import choose, installed_binaries
from runner.store.embedded.home import Kept, ServerHome, open_home, socket_path, start_log
from runner.store.embedded.keeper import (
    LOAD_TIMEOUT_S,
    ORPHAN_TIMEOUT_S,
    SHUTDOWN_TIMEOUT_S,
    Assignment,
    keeper_command,
)
from runner.store.embedded.process import answers
from runner.store.embedded.start_failure import advise
from runner.store.file_lock import open_lock, try_lock

DURABILITIES = ("none", "standard", "strict")  # weakest first

_LEAVE_TIMEOUT_S = SHUTDOWN_TIMEOUT_S + 5
_START_TIMEOUT_S = ORPHAN_TIMEOUT_S + LOAD_TIMEOUT_S + 5
_POLL_S = 0.005
# What the keeper and the server need of the first user's environment. Not the rest: they outlive that user,
# and what is secret in its environment is not to be found in theirs.
_ENVIRONMENT = ("PATH", "HOME", "TMPDIR", "LANG", "TZ", "PYTHONHOME")
_ENVIRONMENT_PREFIXES = ("LC_", "LD_", "DYLD_")


class EmbeddedServer:
    """A user's hold on the server of a project. Programs started from here do not share it; forked children do."""

    def __init__(self, home: ServerHome, users: int, durability: str, binaries: Sequence[Path] | None) -> None:
        self._home = home
        self._users: int | None = users
        self._durability = durability
        self._binaries = binaries
        self._kept = _find_or_start(home, durability, binaries)

    @property
    def url(self) -> str:
        """For redis.from_url."""
        return "unix://" + quote(self._kept.socket)

    @property
    def engine(self) -> str:
        """For people: "Valkey 9.1.2"."""
        return f"{self._kept.engine} {self._kept.version}"

    @property
    def durability(self) -> str:
        """Of the server, which may be stricter than what was asked for."""
        return self._kept.durability

    @property
    def state_dir(self) -> Path:
        return self._home.path

    @property
    def log(self) -> Path:
        return self._home.log

    @property
    def pid(self) -> int:
        """Of the server as it was found; its keeper may have started another since."""
        return self._kept.server_pid

    @property
    def complaint(self) -> str:
        """Why it may be away, and what to do: "" if nothing is known to be wrong."""
        return advise(self._home, "")

    def ensure(self) -> None:
        """After the server could not be reached: wait until its keeper has it back, or be the one who starts it."""
        if self._users is None:
            raise UsageError("this hold on the embedded server was released")
        self._kept = _find_or_start(self._home, self._durability, self._binaries)

    def release(self) -> None:
        """Stop using it; the server ends with its last user. Closed, not unlocked: see file_lock."""
        if self._users is not None:
            os.close(self._users)
            self._users = None

    def __enter__(self) -> EmbeddedServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def attach(state_dir: Path, *, durability: str = "strict", binaries: Sequence[Path] | None = None) -> EmbeddedServer:
    """Use the server whose data is in `state_dir` (kept private to this user), starting it if nobody has.

    `binaries`: server programs to choose from instead of the installed ones, best first. Raises ConfigError (no
    server, or no usable folder), ServerRefused (data or running server do not fit), StoreUnavailable (it did not
    start; with the end of its log and what to do).
    """
    if durability not in DURABILITIES:
        raise UsageError(f'durability "{durability}" is none of {", ".join(DURABILITIES)}')
    home = open_home(state_dir)
    users = open_lock(home.users_lock)
    try:
        _join(home, users)
        return EmbeddedServer(home, users, durability, binaries)
    except BaseException:
        os.close(users)
        raise


def _join(home: ServerHome, users: int) -> None:
    """Become a user. That waits only while a keeper ends the server that its last user left."""
    deadline = time.monotonic() + _LEAVE_TIMEOUT_S
    while not try_lock(users, shared=True):
        if time.monotonic() > deadline:
            raise StoreUnavailable(f"the embedded server of {home.path} does not end; its log is {home.log}")
        time.sleep(_POLL_S)


def _find_or_start(home: ServerHome, durability: str, binaries: Sequence[Path] | None) -> Kept:
    """The running server; as a user of it, so it does not end meanwhile."""
    deadline = time.monotonic() + _START_TIMEOUT_S
    while True:
        keeper = open_lock(home.keeper_lock)
        try:
            if try_lock(keeper):  # nobody keeps a server; from here on, nobody else starts one
                _start_keeper(home, keeper, durability, binaries)
        finally:
            os.close(keeper)  # the keeper has it too
        kept = home.read_kept()
        if kept is not None and answers(kept.socket):
            return _strong_enough(kept, durability, home)
        if time.monotonic() > deadline:
            raise StoreUnavailable(_unreachable(kept, home))
        time.sleep(_POLL_S)


def _strong_enough(kept: Kept, durability: str, home: ServerHome) -> Kept:
    if DURABILITIES.index(kept.durability) < DURABILITIES.index(durability):
        raise ServerRefused(
            f"the embedded server of {home.path} runs with durability {kept.durability}, {durability} is needed: "
            "end the commands that use it, then start this one again"
        )
    return kept


def _unreachable(kept: Kept | None, home: ServerHome) -> str:
    if kept is not None and kept.host != os.uname().nodename:
        return (
            f"the embedded server of {home.path} runs on another machine, {kept.host}: run the command there, or "
            "name a server of your own with --redis-url"
        )
    return f"the embedded server of {home.path} does not answer; its log is {home.log}"


def _start_keeper(home: ServerHome, keeper_lock: int, durability: str, binaries: Sequence[Path] | None) -> None:
    """Hand the lock on to a keeper and wait until its server answers. StoreUnavailable says why it does not."""
    # Before a keeper can hold the lock: what a killed one wrote must not pass for its successor's.
    home.status.unlink(missing_ok=True)
    binary = choose(binaries if binaries is not None else installed_binaries(), home.read_written(), home.data)
    log = start_log(home)
    offset = os.fstat(log).st_size
    ready, ready_write = os.pipe()
    assignment = Assignment(
        home=str(home.path), socket=str(socket_path(home)), binary=str(binary.path), engine=binary.engine,
        version=binary.version, durability=durability, keeper_lock=keeper_lock, ready=ready_write,
    )  # fmt: skip
    try:
        try:
            # A session of its own: no Ctrl-C of this terminal reaches it. What is waited for only forks the keeper.
            subprocess.run(
                keeper_command(assignment), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=home.path,
                env=_environment(), start_new_session=True, pass_fds=(keeper_lock, ready_write), check=False,
            )  # fmt: skip
        finally:
            os.close(ready_write)
            os.close(log)
        answer = _read_answer(ready)
    finally:
        os.close(ready)
    if answer is None:
        tail = home.log_tail(offset)
        said = f"the keeper of the embedded server ended; {home.log} ends with\n{tail}"
        raise StoreUnavailable(f"{said}\n{advise(home, tail)}".rstrip())
    if answer:
        raise StoreUnavailable(answer)


def _read_answer(ready: int) -> str | None:
    """The keeper's one report: "" for a server that answers, else the error. None: it ended without one."""
    deadline = time.monotonic() + _START_TIMEOUT_S
    text = b""
    while select.select([ready], [], [], max(0.0, deadline - time.monotonic()))[0]:
        piece = os.read(ready, 4096)
        if not piece:
            return str(json.loads(text)["error"]) if text else None
        text += piece
    return f"the embedded server did not start within {_START_TIMEOUT_S:.0f} s"


def _environment() -> dict[str, str]:
    passed = [name for name in os.environ if name in _ENVIRONMENT or name.startswith(_ENVIRONMENT_PREFIXES)]
    return {name: os.environ[name] for name in passed} | {"PYTHONPATH": str(Path(__file__).resolve().parents[3])}
