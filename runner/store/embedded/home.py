"""Where the embedded server of a project lives: its folder, its files and its socket.

Whoever opens the socket can change every run, so folder and socket are for one user only: what another user
owns or could have prepared (a folder in /tmp) is refused, never repaired.

    <state>/users.lock    shared: everybody who uses the server; exclusive: the keeper that ends it
    <state>/keeper.lock   the keeper, for its life; taken by the one who starts it and handed on
    <state>/data.lock     the server, for its life (inherited from its keeper): one server on one data folder
    <state>/server.json   the server that the holder of keeper.lock keeps (Kept)
    <state>/server.log    of server and keeper
    <state>/data/         the append-only files; engine.json says which server wrote them (Written)
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import tempfile
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TypeVar

from runner.errors import ConfigError

MAX_SOCKET_BYTES = 103  # sun_path without its NUL: 107 on Linux, 103 on macOS
MAX_LOG_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Kept:
    """A server that answered, as its keeper wrote it down."""

    host: str
    keeper_pid: int
    server_pid: int
    socket: str
    engine: str  # Valkey, Redis
    version: str
    durability: str


@dataclass(frozen=True, slots=True)
class Written:
    """The server that wrote the data last."""

    engine: str
    version: str


_Record = TypeVar("_Record", Kept, Written)


@dataclass(frozen=True, slots=True)
class ServerHome:
    """The files of one embedded server, by what they are for."""

    path: Path

    @property
    def users_lock(self) -> Path:
        return self.path / "users.lock"

    @property
    def keeper_lock(self) -> Path:
        return self.path / "keeper.lock"

    @property
    def data_lock(self) -> Path:
        return self.path / "data.lock"

    @property
    def status(self) -> Path:
        return self.path / "server.json"

    @property
    def log(self) -> Path:
        return self.path / "server.log"

    @property
    def data(self) -> Path:
        return self.path / "data"

    def read_kept(self) -> Kept | None:
        """None: there is none yet, or it is ending."""
        return _read(self.status, Kept)

    def write_kept(self, kept: Kept) -> None:
        _write(self.status, kept)

    def read_written(self) -> Written | None:
        """None: there is no data yet."""
        return _read(self.data / "engine.json", Written)

    def write_written(self, written: Written) -> None:
        _write(self.data / "engine.json", written)

    def log_tail(self, offset: int, *, lines: int = 12) -> str:
        """What was logged since `offset` (of a size taken before), the last lines of it."""
        try:
            with self.log.open("rb") as log:
                log.seek(offset)
                text = log.read(64 << 10).decode("utf-8", "replace")
        except FileNotFoundError:
            return ""
        return "\n".join([line for line in text.splitlines() if line.strip()][-lines:])


def open_home(state_dir: Path) -> ServerHome:
    """The home in `state_dir`, made if it is missing, for this user only. ConfigError if it cannot be used."""
    path = state_dir.expanduser().resolve()
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        facts = path.stat()
        if facts.st_uid != os.geteuid():
            raise ConfigError(
                f"{path} belongs to the user with id {facts.st_uid}, this is {os.geteuid()}: run the command as "
                "that user, or name a server of your own with --redis-url"
            )
        if stat.S_IMODE(facts.st_mode) != 0o700:
            path.chmod(0o700)
        home = ServerHome(path)
        home.data.mkdir(exist_ok=True, mode=0o700)
        ignore = path / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")
    except OSError as error:
        raise ConfigError(
            f"the embedded server needs the folder {path}: {error.strerror}. Make it writable, or name a server "
            "of your own with --redis-url"
        ) from error
    return home


def socket_path(home: ServerHome) -> Path:
    """A path short enough to bind, in a folder that only this user can enter."""
    path = home.path / "server.sock"
    if _fits(path):
        return path
    name = hashlib.sha256(os.fsencode(home.path)).hexdigest()[:16] + ".sock"
    runtime = _runtime_folder()
    if runtime is not None and _fits(runtime / name):
        return runtime / name
    for base in (tempfile.gettempdir(), "/tmp"):
        path = Path(base) / f"sagarun-{os.geteuid()}" / name
        if _fits(path):
            _private_folder(path.parent)
            return path
    raise ConfigError(f"no path for a socket is short enough: {path} has more than {MAX_SOCKET_BYTES} bytes")


def start_log(home: ServerHome) -> int:
    """A descriptor to append to the log; the log before is set aside when it has grown."""
    with contextlib.suppress(FileNotFoundError):
        if home.log.stat().st_size > MAX_LOG_BYTES:
            home.log.replace(home.log.with_suffix(".log.1"))
    return os.open(home.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _fits(path: Path) -> bool:
    return len(os.fsencode(path)) <= MAX_SOCKET_BYTES


def _runtime_folder() -> Path | None:
    """$XDG_RUNTIME_DIR/sagarun, where the login gave this user such a folder of its own."""
    base = Path(os.environ.get("XDG_RUNTIME_DIR", ""))
    if not base.is_absolute():
        return None
    try:
        _check_private(base)
        _private_folder(base / "sagarun")
    except (ConfigError, OSError):  # gone after a logout, or of another user after su: the temp dir will do
        return None
    return base / "sagarun"


def _private_folder(folder: Path) -> None:
    """Make it, or see that nobody else made it: in /tmp, anybody may have been there first."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    _check_private(folder)


def _check_private(folder: Path) -> None:
    facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid() or stat.S_IMODE(facts.st_mode) & 0o077:
        raise ConfigError(
            f"{folder} must be a folder that only you can enter: it is {stat.filemode(facts.st_mode)}, of the user "
            f"with id {facts.st_uid}. Remove it, or set XDG_RUNTIME_DIR or TMPDIR to a folder of yours"
        )


def _read(path: Path, kind: type[_Record]) -> _Record | None:
    """Fields that it does not know (of a newer release) are passed over."""
    try:
        document = json.loads(path.read_text())
        values = {field.name: document[field.name] for field in fields(kind)}
        if any(type(values[field.name]).__name__ != field.type for field in fields(kind)):
            raise TypeError("a field has the wrong type")
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigError(f"{path} is damaged ({error}): remove it") from error
    return kind(**values)


def _write(path: Path, record: Kept | Written) -> None:
    """Whole or not at all: readers take no lock."""
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(asdict(record)) + "\n")
    draft.replace(path)
