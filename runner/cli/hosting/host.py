"""An engine and a worker process inside one command, on the project's embedded server.

What they began they finish before the command ends; what was left lying by a command that was killed, they take up.
Rule: nothing here is needed for safety. Killed at any moment, the next host goes on from what the server has.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Collection, Mapping
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from runner.cli.access import Access
from runner.cli.failure import Exit
from runner.cli.hosting.alerting import alert_watch
from runner.cli.hosting.claims import Claims
from runner.cli.hosting.keeping import ARCHIVE_END_S, retention_of, start_archive
from runner.cli.hosting.tracing import trace_export
from runner.cli.hosting.workshop import OUTAGE_S, Crew
from runner.cli.story.elsewhere import Missing
from runner.cli.story.ending import conclude
from runner.cli.story.follow import Follower
from runner.cli.story.reading import read_view
from runner.cli.story.report import summary_lines
from runner.cli.wording import plural
from runner.engine.engine import Engine
from runner.engine.ticker import Ticker
from runner.errors import StoreError, StoreUnavailable
from runner.monitor.families import families
from runner.monitor.logs import name_process
from runner.monitor.shapes import RunView
from runner.monitor.views import live_runs
from runner.store.ports import ProcessInfo, StoredRun
from runner.store.process_lock import forget_unknown
from runner.store.redis_store import RedisStore

if TYPE_CHECKING:
    from runner.archive.archiver import ArchiveThread
    from runner.monitor.otel import TraceExport

log = logging.getLogger("sagarun.host")

QUIET_MS = 5_000  # a run that only waits for longer than this is left to the next command
LONG_MS = 60_000  # of a wait like this a person is told that nobody has to stay for it
DRAIN_S = 30.0  # for what the workers have begun
POLL_S = 0.1
SERVE_POLL_S = 0.5
NAMED = 5  # runs that are named one by one
ENGINE_END_S = 0.02  # before its connection is closed under it
TRACED_END_S = 1.0


class Host:
    """An engine beside a crew of workers. A context manager; from `start` on, runs move."""

    def __init__(self, reach: Access, crew: Crew, *, schedules: bool = False) -> None:
        if reach.opened.server is None:
            raise ValueError("a host is for the embedded server; elsewhere engines have processes of their own")
        self.reach = reach
        self._is_interrupted = False
        self._missing = Missing(reach, hosts=True)
        self.crew = crew
        self._schedules = schedules
        self._server = reach.opened.server
        self._project = reach.settings.project
        self._screen = reach.settings.screen
        self._claims = Claims(self._project.state / "hosts")
        self._engine_id = f"{crew.process_id}:engine"
        self._engine_store = RedisStore.connect(
            self._server.url, namespace=self._project.namespace, patience_s=OUTAGE_S
        )
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._has_said_that_it_waits = False
        self._threads: list[threading.Thread] = []
        self._traces: TraceExport | None = None
        self._archive: ArchiveThread | None = None

    # -- life ---------------------------------------------------------------------------------------
    def __enter__(self) -> Host:
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _interrupt)
        return self

    def start(self) -> Mapping[str, Mapping[str, Any]]:
        """Claim tasks, interpret runs, take up what was left lying. The answer is the workers' contracts."""
        name_process(self._engine_id)
        self._traces = trace_export(self._project, self._engine_store)
        contracts = self.crew.start()
        store = self.reach.client.store
        store.register(
            ProcessInfo(
                self._engine_id, "engine", socket.gethostname(), os.getpid(), started_at_ms=store.now_ms(),
                lock=str(self.crew.lock.path),
            )
        )
        self._threads = [
            threading.Thread(target=self._interpret, name="sagarun-engine", daemon=True),
            Ticker(self._engine_store, self._engine_id, self._stop, schedules=self._schedules),
        ]
        self._archive = start_archive(self._project, self._engine_store, stays=self._schedules)
        watch = alert_watch(self._project, self._engine_store, self._stop) if self._schedules else []
        for thread in (*self._threads, *watch):  # nobody waits for the watch at the end: a receiver may be slow
            thread.start()
        self._sweep()
        self._adopt()
        return contracts

    def _interpret(self) -> None:
        engine = Engine(
            self._engine_store, process_id=self._engine_id, retention_of=retention_of(self._project),
            figures=self._project.monitor.figures, on_end=None if self._traces is None else self._traces.add,
        )
        while not self._stop.is_set():
            try:
                engine.run(self._stop)
            except StoreUnavailable as error:
                if self._stop.is_set():
                    return
                log.warning("the engine waits for the server: %s", error)
                self._recover()
            except BaseException as error:
                log.critical("the engine failed", exc_info=error)
                self._failure = error
                return

    def _recover(self) -> None:
        try:
            self._server.ensure()
        except StoreError as error:
            log.warning("%s", error)
            self._stop.wait(POLL_S)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_interrupted = kind is not None and issubclass(kind, KeyboardInterrupt)
        self.close()

    def close(self) -> None:
        """Let the workers finish what they began, then stop. A second interrupt kills them instead."""
        self._claims.release()
        workers = self.crew.process
        try:
            if workers.is_idle:
                self._stop.set()  # while the child ends, the engine does
            else:
                again = " again" if self._is_interrupted else ""
                self._screen.note(f"· letting the workers finish what they began; Ctrl-C{again} kills them")
            workers.stop(DRAIN_S)
        except KeyboardInterrupt:
            workers.stop(0)
            self._screen.note("· killed; the next command goes on from there")
        finally:
            self._end_engine()

    def _end_engine(self) -> None:
        self._stop.set()
        # Where traces are sent, the engine has to have told of the run that has just ended.
        deadline = time.monotonic() + (ENGINE_END_S if self._traces is None else TRACED_END_S)
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if self._traces is not None:
            self._traces.close()
        if self._archive is not None:
            self._archive.finish(ARCHIVE_END_S)
        # Whoever still waits for a wake token is woken by this; a commit under way is repeated by the next engine.
        self._engine_store.close()
        try:
            self.reach.client.store.retire(self._engine_id)
        except StoreError as error:
            log.warning("the engine could not sign off: %s", error)

    # -- runs ---------------------------------------------------------------------------------------
    def look_after(self, run_id: str) -> None:
        self._claims.take(run_id)

    def follow(self, run_id: str, wait_ms: int | None = None, *, skip: int = 0) -> int:
        """Show the run to its end, then finish what else was taken up; the exit code. `skip`: see Follower."""
        follower = Follower(
            self.reach.client, run_id, self._screen, recover=self._recover, look=self._look_at, skip=skip
        )
        try:
            view = follower.follow(None if wait_ms is None else wait_ms / 1_000)
            if view is None:
                return self._leave_to_background(run_id)
            code = conclude(self._screen, view)
            self.finish(besides=run_id)
            return code
        except KeyboardInterrupt:
            return self._interrupted(run_id)

    def _look_at(self, view: RunView) -> None:
        self._watch_over(view)
        if not self._has_said_that_it_waits and self._only_waits(view, self.reach.client.store.now_ms(), LONG_MS):
            self._has_said_that_it_waits = True
            self._screen.note(
                "· it only waits now; Ctrl-C leaves it waiting, and the next command that hosts goes on with it"
            )

    def _watch_over(self, view: RunView) -> None:
        self.check()
        self._missing.look(view)

    def _interrupted(self, run_id: str) -> int:
        self._screen.note(
            "interrupted; the next command that runs something goes on with it (or now: sagarun engine)\n"
            f"watch it with: sagarun watch {run_id}"
        )
        return Exit.INTERRUPTED

    def accompany(self, run_id: str, *, skip: int) -> int:
        """Show the run until it rests, or only waits for something that may be long in coming; the exit code."""
        client, now_ms = self.reach.client, self.reach.client.store.now_ms
        follower = Follower(
            client, run_id, self._screen, recover=self._recover, look=self._watch_over, skip=skip,
            is_enough=lambda view: self._only_waits(view, now_ms(), QUIET_MS),
        )  # fmt: skip
        try:
            view = follower.follow()
            if view is None:
                return Exit.INTERNAL
            for line in summary_lines(view):
                self._screen.story(line)
            self.finish(besides=run_id)
        except KeyboardInterrupt:
            return self._interrupted(run_id)
        return Exit.NEEDS_PERSON if view.rests and not view.terminal else Exit.DONE

    def _only_waits(self, view: RunView, now_ms: int, soon_ms: int) -> bool:
        """Neither the run nor one below it does anything that is not long in coming."""
        client = self.reach.client
        return view.only_waits(now_ms, soon_ms) and all(
            self._only_waits(read_view(client, run_id), now_ms, soon_ms) for run_id in view.children_under_way
        )

    def _leave_to_background(self, run_id: str) -> int:
        from runner.cli.hosting.background import ensure_background
        from runner.cli.story.ending import timed_out

        ensure_background(self.reach.settings, self.crew.modules)
        return timed_out(self._screen, run_id)

    def serve(self) -> None:
        """Until it is interrupted."""
        while True:
            self.check()
            self.take_up()
            time.sleep(SERVE_POLL_S)

    def check(self) -> None:
        """Raise what broke in a thread of this host: nobody would move the run any more."""
        if self._failure is not None:
            raise self._failure
        if self.crew.process.failure is not None:
            raise self.crew.process.failure

    def finish(self, *, besides: str = "", quiet: bool = False) -> None:
        """Until every run that was taken up is at rest. `quiet`: the runs are those that were asked for."""
        waited_for: frozenset[str] = frozenset()
        while True:
            self.check()
            runs = self._claims.runs - {besides}
            # Twice: between the looks at two runs, the end of one may have let the other begin.
            moving = self._moving(runs) or self._moving(runs)
            if not moving:
                if not quiet:
                    self._say_left(runs)
                return
            if moving != waited_for and not quiet:
                waited_for = moving
                self._screen.note(f"· finishing {_interrupted_runs(moving)}")
            time.sleep(POLL_S)

    def _say_left(self, run_ids: frozenset[str]) -> None:
        """Of what was taken up: what did not come to its end here. Without a word it would pass for finished."""
        rows = [row for row in live_runs(self.reach.client.store) if row.run_id in run_ids] if run_ids else []
        stuck = [row.run_id for row in rows if row.status == "stuck"]
        waiting = [row.run_id for row in rows if row.status != "stuck"]
        if stuck:
            self._screen.note(f"! stuck, of what was gone on with: {_named(stuck)}")
        if waiting:
            self._screen.note(f"· left waiting, of what was gone on with: {_named(waiting)}")

    def _moving(self, run_ids: frozenset[str]) -> frozenset[str]:
        """Those of which something is to be done, for themselves or for a run below them."""
        if not run_ids:
            return frozenset()
        store = self.reach.client.store
        now_ms = store.now_ms()
        found = {run_id: members for run_id, members in families(live_runs(store)).items() if run_id in run_ids}
        return frozenset(
            run_id for run_id, members in found.items()
            if any(run is not None and not self._rests(run, now_ms) for run in store.load_runs(members))
        )

    def _rests(self, stored: StoredRun, now_ms: int) -> bool:
        """Nothing is to be done for it now that this host could do."""
        if stored.terminal or stored.status == "stuck" or stored.broken or stored.in_line:
            return True
        served = {contract["queue"] for contract in self.crew.process.contracts.values()}
        if any(task.state == "R" or task.queue in served for task in stored.tasks.values()):
            return False
        return not stored.entries and now_ms - stored.updated_at_ms > QUIET_MS

    def take_up(self) -> frozenset[str]:
        """Look after every run that is under way and that no living command looks after; which ones are new.

        A child is looked after with the run that started it.
        """
        rows = live_runs(self.reach.client.store)
        roots = families(rows)
        waiting = [row.run_id for row in rows if row.run_id in roots and row.status != "stuck"]
        return self._claims.take_unclaimed(waiting)

    def _adopt(self) -> None:
        adopted = self.take_up()
        if adopted:
            self._screen.note(f"· going on with {_interrupted_runs(adopted)}")

    def _sweep(self) -> None:
        """Remove the lock files of processes that are gone and reaped."""
        known = (process.lock for process in self.reach.client.store.processes())
        forget_unknown(self.crew.lock.path.parent, known)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _interrupted_runs(run_ids: frozenset[str]) -> str:
    """2 runs that were interrupted: a, b"""
    return f"{plural(len(run_ids), 'run')} that {'was' if len(run_ids) == 1 else 'were'} interrupted: {_named(run_ids)}"


def _named(run_ids: Collection[str]) -> str:
    """a, b; of many the first ones."""
    more = f" and {len(run_ids) - NAMED} more" if len(run_ids) > NAMED else ""
    return ", ".join(sorted(run_ids)[:NAMED]) + more
