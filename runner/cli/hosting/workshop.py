"""The project's own worker code: imported to look at it, or run in a worker process.

Somebody else's code runs here, so whatever it raises is told with its file and line, as a mistake in the project.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from runner.definition.project import DEFAULT_WORKERS, Project
from runner.errors import ConfigError
from runner.store.opening import OpenStore
from runner.store.ports import Store
from runner.store.process_lock import ProcessLock
from runner.store.redis_store import RedisStore
from runner.worker.identity import new_process_id
from runner.worker.process import WorkerProcess
from runner.worker.registry import Registry, load_modules

CHILD = "SAGARUN_CHILD"  # what `prepare_child` is to set up, as JSON
OUTAGE_S = 5.0  # how long a call is repeated before the embedded server is looked for
_FRAME = re.compile(r'^  File "(?P<file>[^"]+)", line (?P<line>\d+).*$', re.MULTILINE)


def import_workers(project: Project, modules: Sequence[str] = ()) -> Registry:
    """Import the modules (default: those of the project) into this process. Raises ConfigError."""
    import traceback

    _find_modules(project)
    try:
        with contextlib.chdir(project.root):
            return load_modules(modules_of(project, modules))
    except ConfigError as error:
        raise _with_advice(error, project) from error
    except (Exception, SystemExit) as error:
        trace = "".join(traceback.format_exception(error))
        raise ConfigError(_import_failure(trace, project.root)) from error


class Crew:
    """The worker process of a command on the embedded server. Its child starts at once, and works from `start` on."""

    def __init__(
        self, project: Project, opened: OpenStore, modules: Sequence[str] = (), *, children: int = 1, console: str = ""
    ) -> None:
        if opened.server is None:
            raise ValueError("on a server of one's own, workers have a process of their own")
        self.modules = modules_of(project, modules)
        self._project = project
        self.process_id = new_process_id()  # of the engine beside it too: they live and die together
        self.lock = ProcessLock(project.state / "processes", self.process_id)
        self._store = RedisStore.connect(opened.server.url, namespace=project.namespace, patience_s=OUTAGE_S)
        self.process = worker_process(
            self._store, project, self.modules, children=children, lock=self.lock, console=console
        )

    def __enter__(self) -> Crew:
        self.process.launch()
        return self

    def start(self) -> Mapping[str, Mapping[str, Any]]:
        """Claim tasks; the answer is the contracts. Raises ConfigError when the modules cannot be imported."""
        try:
            self.process.start()
        except ConfigError as error:
            raise import_failure(error, self._project) from error
        return self.process.contracts

    def __exit__(self, *_: object) -> None:
        self.process.stop(0)
        self._store.close()
        self.lock.release()


def worker_process(
    store: Store, project: Project, modules: Sequence[str], *, children: int = 1, slots: int = 64,
    queues: Sequence[str] | None = None, lock: ProcessLock | None = None, console: str = "",
) -> WorkerProcess:
    """Not started yet. Its children log to the project's log, and what they print goes to stderr.

    console: see write_log.
    """
    _find_modules(project)
    log = {"level": project.log.level, "max_bytes": project.log.max_bytes, "backups": project.log.backups}
    log |= {"console": console}
    child = {"log": {**log, "path": str(project.log_file)}, "grants": _grants(project)}
    os.environ[CHILD] = msgspec.json.encode(child).decode()
    return WorkerProcess(
        store, modules, queues=queues, children=children, slots=slots, hook="runner.cli.hosting.workshop:prepare_child",
        lock_path="" if lock is None else str(lock.path), lock_fd=None if lock is None else lock.fileno(),
    )


def grant_here(project: Project) -> None:
    """This process runs the workers itself, and they may reach what the project allows."""
    from runner.worker.grants import Grants, grant

    grant(msgspec.convert(_grants(project), Grants))


def _grants(project: Project) -> dict[str, Any]:
    http = {"allow": project.http.allow, "proxy": project.http.proxy, "ca_file": project.http.ca_file}
    return {"root": str(project.root), "secrets": project.secrets, **http}


def prepare_child() -> None:
    """The first thing in a worker process' child: stdout belongs to the command that started it.

    It works in the project's folder, wherever the command was given: what a worker names by a relative path, such as
    its database, must be the same for the attempt that is undone and for the one that undoes it.
    """
    from runner.monitor.logs import write_log
    from runner.worker.grants import Grants, grant

    os.dup2(2, 1)
    given = os.environ.pop(CHILD, "")
    if given:
        settings = msgspec.json.decode(given)
        os.chdir(settings["grants"]["root"])
        log = settings["log"]
        write_log(Path(log.pop("path")), **log)
        grant(msgspec.convert(settings["grants"], Grants))


def modules_of(project: Project, given: Sequence[str] = ()) -> tuple[str, ...]:
    """Those that were named, else the project's. None where nobody named any and there is no package `workers`: what
    has no steps of the project's own workers needs no such package."""
    if given or project.workers != DEFAULT_WORKERS:
        return tuple(given) or project.workers
    _find_modules(project)
    return project.workers if importlib.util.find_spec(DEFAULT_WORKERS[0]) else ()


def _find_modules(project: Project) -> None:
    """The project's root comes first on the import path: its `workers` is meant, not one that is installed."""
    root = str(project.root)
    if sys.path[:1] != [root]:
        sys.path.insert(0, root)


# -- what went wrong ----------------------------------------------------------------------------------
def import_failure(error: ConfigError, project: Project) -> ConfigError:
    """The same, told so that it helps: a child reports what went wrong with its whole traceback."""
    text = str(error)
    if "Traceback" not in text:
        return _with_advice(error, project)
    return ConfigError(_import_failure(text, project.root))


def _with_advice(error: ConfigError, project: Project) -> ConfigError:
    if "there is no module" not in str(error):
        return error
    advice = "name other modules with --workers, or with `workers:` in sagarun.yaml"
    return ConfigError(f"{error} (looked in {project.root})\n{advice}")


def _import_failure(trace: str, root: Path) -> str:
    """`workers/payments.py:12: NameError: …`: the innermost line of the project's own, else of anybody's."""
    found = list(_FRAME.finditer(trace))
    # Below the last frame: its source, indented, and then what was raised, of which one line is enough.
    below = trace[found[-1].end() :].splitlines() if found else trace.splitlines()
    reason = next((line for line in below if line and not line[0].isspace()), "unknown reason")
    frames = [(Path(match["file"]), match["line"]) for match in found]
    own = [frame for frame in frames if frame[0].is_relative_to(root)]
    if not frames:
        return f"the workers cannot be imported\n{reason}"
    file, line = (own or frames)[-1]
    shown = file.relative_to(root) if file.is_relative_to(root) else file
    return f"the workers cannot be imported\n{shown}:{line}: {reason}"
