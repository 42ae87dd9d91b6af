"""The host that goes on after its command: an engine and workers without a terminal, until no run is under way.

There is at most one for a project. Which one is decided by a lock, and it looks for runs once more after it gave the
lock up: a command that found the lock taken has stored its run before, so one of the two sees it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from runner.cli.hosting.host import Host
from runner.cli.hosting.start import hosting
from runner.cli.settings import Settings
from runner.errors import SagarunError
from runner.monitor.families import families, needs_person
from runner.monitor.views import live_runs
from runner.store.file_lock import open_lock, try_lock

READY = "SAGARUN_READY_FD"
START_TIMEOUT_S = 30.0
POLL_S = 0.25
IDLE_POLLS = 4  # so many looks in a row without a run under way


def ensure_background(settings: Settings, modules: Sequence[str]) -> None:
    """See that a background host is there. Call it after the run was started."""
    lock = open_lock(_lock_path(settings))
    try:
        if not try_lock(lock, shared=True):
            return
    finally:
        os.close(lock)
    _spawn(settings, modules)


def _lock_path(settings: Settings) -> Path:
    return settings.project.state / "background.lock"


def _spawn(settings: Settings, modules: Sequence[str]) -> None:
    log = settings.project.state / "background.log"
    ready, write = os.pipe()
    # -P: the project's folder must not come first, where a folder of its own could be called `runner`.
    command = [sys.executable, "-P", "-m", "runner.cli.main", "engine", "--until-idle"]
    if settings.project.config is not None:
        command += ["--config", str(settings.project.config)]
    for module in modules:
        command += ["--workers", module]
    try:
        with log.open("ab") as output:
            # A session of its own: the terminal's Ctrl-C and its closing are not meant for it.
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=settings.project.root,
                start_new_session=True, pass_fds=(write,), env={**os.environ, READY: str(write)},
            )  # fmt: skip
    finally:
        os.close(write)
    with os.fdopen(ready) as answer:
        if answer.read() == "ready\n":
            return
    raise SagarunError(f"the background host ended (exit code {child.wait(START_TIMEOUT_S)}); its output is in {log}")


def serve(settings: Settings, modules: Sequence[str]) -> None:
    """Be the background host, if there is none."""
    lock = open_lock(_lock_path(settings))
    try:
        if not try_lock(lock):
            _tell_ready()
            return
        with hosting(settings, modules) as host:
            host.start()
            _tell_ready()
            while True:
                _until_idle(host)
                os.close(lock)
                lock = open_lock(_lock_path(settings))
                if _is_idle(host) or not try_lock(lock):
                    return
    finally:
        os.close(lock)


def _until_idle(host: Host) -> None:
    quiet = 0
    while quiet < IDLE_POLLS:
        host.check()
        host.take_up()  # or a command that starts now would wait for a run that this one is about to finish
        quiet = quiet + 1 if _is_idle(host) else 0
        time.sleep(POLL_S)


def _is_idle(host: Host) -> bool:
    """No run moves, or ever would without a person."""
    store = host.reach.client.store
    rows = live_runs(store)
    if all(row.status == "stuck" for row in rows):
        return True
    if not any(row.status == "stuck" for row in rows):
        return False
    loaded = (store.load_runs(members) for members in families(rows).values())
    return all(needs_person([run for run in runs if run is not None]) for runs in loaded)


def _tell_ready() -> None:
    descriptor = os.environ.pop(READY, "")
    if descriptor:
        with os.fdopen(int(descriptor), "w") as answer:
            answer.write("ready\n")
