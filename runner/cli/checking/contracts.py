"""What the workers of a project take and give: `schemas/workers.json`, which is checked in, or else their own code.

The file is a lock file: written by `sagarun workers export`, sorted by name, the same on every machine. With it,
definitions are checked without importing anything of the project. Rule: nobody edits it, and nothing here runs worker
code unless it is asked to.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from runner.builtin import builtin_contracts
from runner.definition.project import Project
from runner.errors import ConfigError

Contracts = Mapping[str, Mapping[str, Any]]
EXPORT = "sagarun workers export"


def lock_file(project: Project) -> Path:
    return project.root / "schemas" / "workers.json"


def known_contracts(project: Project, modules: Sequence[str] = (), *, live: bool = False) -> Contracts:
    """Those of the lock file, if there is one; else, and with `modules` or `live`, those of the code. ConfigError."""
    locked = None if modules or live else locked_contracts(project)
    if locked is not None:
        return locked
    from runner.cli.hosting.workshop import import_workers

    return import_workers(project, modules).contracts()


def locked_contracts(project: Project) -> Contracts | None:
    """Those of the lock file; None: there is none. ConfigError."""
    return {**builtin_contracts(), **read_lock(lock_file(project))} if lock_file(project).is_file() else None


def read_lock(file: Path) -> dict[str, dict[str, Any]]:
    """Raises ConfigError for a file that is none."""
    try:
        contracts = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file} cannot be read: {error}\nwrite it anew: {EXPORT}") from error
    if not isinstance(contracts, dict) or not all(_is_contract(each) for each in contracts.values()):
        raise ConfigError(f"{file} does not hold the contracts of workers\nwrite it anew: {EXPORT}")
    return contracts


def _is_contract(value: Any) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("readonly"), bool):
        return False
    schemas = all(isinstance(value.get(key), dict) for key in ("input", "output"))
    raises = value.get("raises")
    return schemas and isinstance(raises, list) and all(isinstance(code, str) for code in raises)


def locked(contracts: Contracts) -> dict[str, dict[str, Any]]:
    """As the lock file has them. What comes with sagarun is left out: it is known anyway, and changes with its version.

    So is the line of a worker: a comment above it would make the file stale.
    """
    own = sorted(contracts.keys() - builtin_contracts().keys())
    return {
        name: {**contracts[name], "location": str(contracts[name].get("location", "")).partition(":")[0]}
        for name in own
    }


def lock_text(contracts: Contracts) -> str:
    return json.dumps(locked(contracts), indent=2, ensure_ascii=False) + "\n"


def staleness(project: Project, contracts: Contracts) -> list[str]:
    """What the lock file says differently than the code, a line each; empty: it is current."""
    return list(differences(read_lock(lock_file(project)), json.loads(lock_text(contracts))))


def differences(old: Contracts, new: Contracts) -> Iterator[str]:
    for name in sorted(old.keys() | new.keys()):
        if name not in new:
            yield f"{name}: there is no such worker any more"
        elif name not in old:
            yield f"{name}: a new worker"
        else:
            for path, before, after in _changes((), old[name], new[name]):
                yield f"{name}: {'.'.join(path)}: {_shown(before)} → {_shown(after)}"


_ABSENT = object()


def _changes(path: tuple[str, ...], old: Any, new: Any) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from _changes((*path, key), old.get(key, _ABSENT), new.get(key, _ABSENT))
    elif old != new or type(old) is not type(new):
        yield path, old, new


def _shown(value: Any) -> str:
    if value is _ABSENT:
        return "nothing"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:59]}…"
