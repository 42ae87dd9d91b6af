"""The project's own worker code: imported to look at it, or run in a worker process.

Somebody else's code runs here, so whatever it raises is told with its file and line, as a mistake in the project.
"""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from runner.definition.project import Project
from runner.errors import ConfigError
from runner.store.ports import Store
from runner.store.process_lock import ProcessLock
from runner.worker.process import WorkerProcess
from runner.worker.registry import Registry, load_modules

LOG = "SAGARUN_CHILD_LOG"  # what `prepare_child` is to set up, as JSON
_FRAME = re.compile(r'^  File "(?P<file>[^"]+)", line (?P<line>\d+)', re.MULTILINE)

_REASON = re.compile(r"^[A-Za-z_][\w.]*(?:: .*)?$", re.MULTILINE)


def find_modules(project: Project) -> None:
    """The project's root comes first on the import path: its `workers` is meant, not one that is installed."""
    root = str(project.root)
    if sys.path[:1] != [root]:
        sys.path.insert(0, root)


def import_workers(project: Project, modules: Sequence[str] = ()) -> Registry:
    """Import the modules (default: those of the project) into this process. Raises ConfigError."""
    find_modules(project)
    try:
        return load_modules(tuple(modules) or project.workers)
    except ConfigError as error:
        raise _with_advice(error, project) from error
    except (Exception, SystemExit) as error:
        trace = "".join(traceback.format_exception(error))
        raise ConfigError(_import_failure(trace, project.root)) from error


def worker_process(
    store: Store, project: Project, modules: Sequence[str], *, children: int = 1, slots: int = 64,
    queues: Sequence[str] | None = None, lock: ProcessLock | None = None,
) -> WorkerProcess:
    """Not started yet. Its children log to the project's log, and what they print goes to stderr."""
    find_modules(project)
    os.environ[LOG] = msgspec.json.encode({**log_settings(project), "path": str(project.log_file)}).decode()
    return WorkerProcess(
        store, modules, queues=queues, children=children, slots=slots, hook="runner.cli.workshop:prepare_child",
        lock_path="" if lock is None else str(lock.path), lock_fd=None if lock is None else lock.fileno(),
    )


def start_workers(workers: WorkerProcess, project: Project) -> None:
    """Raises ConfigError with the place when the modules cannot be imported."""
    try:
        workers.start()
    except ConfigError as error:
        raise import_failure(error, project) from error


def import_failure(error: ConfigError, project: Project) -> ConfigError:
    """The same, told so that it helps: a child reports what went wrong with its whole traceback."""
    text = str(error)
    if "Traceback" not in text:
        return _with_advice(error, project)
    return ConfigError(_import_failure(text, project.root))


def log_settings(project: Project) -> dict[str, Any]:
    return {"level": project.log.level, "max_bytes": project.log.max_bytes, "backups": project.log.backups}


def prepare_child() -> None:
    """The first thing in a worker process' child: stdout belongs to the command that started it."""
    from runner.monitor.logs import write_log

    os.dup2(2, 1)
    given = os.environ.pop(LOG, "")
    if given:
        settings = msgspec.json.decode(given)
        write_log(Path(settings.pop("path")), **settings)


def _with_advice(error: ConfigError, project: Project) -> ConfigError:
    if "there is no module" not in str(error):
        return error
    advice = "name other modules with --workers, or with `workers:` in sagarun.yaml"
    return ConfigError(f"{error} (looked in {project.root})\n{advice}")


def _import_failure(trace: str, root: Path) -> str:
    """`workers/payments.py:12: NameError: …`: the innermost line of the project's own, else of anybody's."""
    reason = (_REASON.findall(trace) or ["unknown reason"])[-1]
    frames = [(Path(match["file"]), match["line"]) for match in _FRAME.finditer(trace)]
    own = [frame for frame in frames if frame[0].is_relative_to(root)]
    if not frames:
        return f"the workers cannot be imported\n{reason}"
    file, line = (own or frames)[-1]
    shown = file.relative_to(root) if file.is_relative_to(root) else file
    return f"the workers cannot be imported\n{shown}:{line}: {reason}"
