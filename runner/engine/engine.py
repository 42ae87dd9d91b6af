"""The batch loop: take the runs that have something in their inbox, advance each, commit them all in one call.

Rule: an engine may be killed at any instruction. What it had taken is watched by the store and handed out
again; what it had decided and not committed is decided again, the same. A run whose interpretation breaks
is set aside alone, and the batch goes on.
"""

from __future__ import annotations

import contextlib
import logging
import math
import secrets
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import count
from typing import Any

import msgspec

from runner.catalogue import Catalogue
from runner.definition.inputs import has_secrets
from runner.definition.secret_input import NOTHING_SECRET, Redaction
from runner.engine.children import ChildInputs
from runner.engine.faults import with_faults
from runner.engine.given_up import interpret_or_abandon
from runner.engine.intake import commit_of
from runner.engine.report import report
from runner.errors import RecordTampered, StoreUnavailable
from runner.figures.count import counts_of
from runner.interpreter.advance import Transition
from runner.interpreter.record import run_of
from runner.interpreter.relay import paths_of_tasks, successors
from runner.interpreter.state import Run
from runner.store.ports import Commit, InboxEntry, Store, StoredRun, TakenRun

log = logging.getLogger("sagarun.engine")

LEASE_MS = 10_000  # how long a taken run is left to this engine
BATCH = 100
CACHED = 5_000  # runs kept by (run, etag), so that a step does not load its run again
# For so long, if nothing comes: mostly another engine has gone on with it, and ended it. A run takes 20 KB or more, and
# one that comes back later can be loaded.
CACHED_S = 10.0
QUEUES_S, UNKNOWN_QUEUE_S = 5.0, 0.2  # how old what is known of the workers' queues may be
PARK_MS = (1_000, 5_000, 30_000)  # then the run is stuck, with the traceback


def keep_for_ever(_status: str) -> int:
    """A retention, in milliseconds, for each status that a run may end with."""
    return 0


class Engine:
    """Interprets runs of one store. `step` is one batch; `run` is the loop, and several threads may be in it.

    They share the cache: a run is taken by one of them at a time, and if two ever had the same one, its etag decides.
    Each has a number of its own, `loop`, or the store would not know what all of them have taken.
    """

    def __init__(
        self, store: Store, *, process_id: str, retention_of: Callable[[str], int] = keep_for_ever,
        figures: bool = True, on_end: Callable[[str], None] | None = None,
    ) -> None:
        """figures: count in each commit what becomes of runs and attempts. on_end: told of each run that is over."""
        self.process_id = process_id
        self._store = store
        self._catalogue = Catalogue(store)
        self._child_inputs = ChildInputs(self._catalogue.definition)
        self._retention_of = retention_of
        self._figures = figures
        self._on_end = on_end
        self._cache: OrderedDict[str, tuple[str, Run, float]] = OrderedDict()  # the longest kept first
        self._evicting = threading.Lock()
        self._listening = threading.Lock()
        # Never used twice, by no engine, also after the server was set back: random for each engine, then counted.
        self._stamp = secrets.token_hex(8)
        self._stamps = count(1)
        self._queues: dict[str, str] = {}
        self._queues_read_at = -math.inf
        self._reading_queues = threading.Lock()
        self._secret_schemas: dict[str, Mapping[str, Any] | None] = {}  # by digest: where the input has secrets

    def step(self, loop: int = 0) -> int:
        """One batch; how many runs were in it."""
        taken = self._store.take_runs(self.process_id, self._new_stamp(), limit=BATCH, lease_ms=LEASE_MS, loop=loop)
        if not taken:
            return 0
        commits: list[Commit] = []
        transitions: dict[str, list[Transition]] = {}
        # Asked ten times a run, and the same for a whole batch.
        queue_of, plan_of = cache(self._queue_of), cache(self._catalogue.plan)
        for run_id, etag, run, entries in self._known(taken):
            try:
                made = interpret_or_abandon(plan_of, run, entries, self._child_inputs.prepare)
                if not made:
                    continue
                state = made[-1].run
                plan = plan_of(state.header.digest)
                commit = commit_of(
                    run_id, etag, self._new_stamp(), entries, made, queue_of,
                    retention_of=self._retention_of,
                    counts=counts_of(run.header.status if run else None, made, plan, queue_of) if self._figures else (),
                    successors=successors(plan, state),
                    paths=paths_of_tasks(plan, state),
                )
                commits.append(self._with_faults(commit, made))
                transitions[run_id] = made
            except StoreUnavailable:
                raise  # an outage says nothing of the run; what was taken is handed out again
            except Exception:
                self._park(run_id, etag, run)
        self._commit(commits, transitions)
        return len(taken)

    def run(self, stop: threading.Event, loop: int = 0) -> None:
        """Until `stop` is set. Raises StoreUnavailable when Redis stays away."""
        while not stop.is_set():
            if not self.step(loop):
                # One of the threads at a time: who is woken takes what there is, and the next one listens meanwhile.
                with self._listening:
                    if not stop.is_set():
                        self._store.wait_for_runs(0.5)

    def close(self) -> None:
        self._cache.clear()

    def _new_stamp(self) -> str:
        """An etag or nonce."""
        return f"{self._stamp}{next(self._stamps):x}"

    # -- loading ------------------------------------------------------------------------------------
    def _known(self, taken: Sequence[TakenRun]) -> list[tuple[str, str, Run | None, Sequence[InboxEntry]]]:
        """Each taken run with its state: from the cache where the etag is the same, else from the store."""
        known: list[tuple[str, str, Run | None, Sequence[InboxEntry]]] = []
        unknown: list[str] = []
        with self._evicting:
            kept = [self._cache.pop(run.run_id, None) for run in taken]  # nobody else may go on with these very objects
        for run, cached in zip(taken, kept, strict=True):
            if not run.etag:
                known.append((run.run_id, "", None, run.entries))
            elif cached is not None and cached[0] == run.etag:
                known.append((run.run_id, run.etag, cached[1], run.entries))
            else:
                unknown.append(run.run_id)
        # Loaded whole, inbox and all: between the two calls another engine may have gone on with it.
        for stored in self._load(unknown):
            if stored.terminal:
                continue
            try:
                state = run_of(stored.state, stored.fields) if stored.state else None
            except Exception:
                self._park(stored.run_id, stored.etag)
                continue
            known.append((stored.run_id, stored.etag, state, stored.entries))
        return known

    def _load(self, run_ids: Sequence[str]) -> list[StoredRun]:
        """One tampered record must not keep the others from going on."""
        try:
            found = self._store.load_runs(run_ids) if run_ids else []
        except RecordTampered as error:
            if len(run_ids) == 1:
                log.error("%s", error, extra={"run_id": run_ids[0]})
                return []
            return [stored for run_id in run_ids for stored in self._load([run_id])]
        return [stored for stored in found if stored is not None]

    def _with_faults(self, commit: Commit, made: Sequence[Transition]) -> Commit:
        try:
            return with_faults(commit, made, self._catalogue.plan, self._redaction_of)
        except StoreUnavailable:
            raise
        except Exception:  # what is only counted must not keep a run from going on
            log.exception("the faults of a commit could not be counted", extra={"run_id": commit.run_id})
            return commit

    # -- committing ---------------------------------------------------------------------------------
    def _commit(self, commits: Sequence[Commit], transitions: dict[str, list[Transition]]) -> None:
        if not commits:
            return
        try:
            answers = self._store.commit(commits)
        except BaseException:
            # Whether it happened is not known, so nothing that was assumed about these runs is kept.
            for commit in commits:
                self._forget(commit.run_id)
            raise
        for commit, answer in zip(commits, answers, strict=True):
            made = transitions[commit.run_id]
            if answer == "ok" and not commit.terminal:
                self._remember(commit, made[-1].run)
            else:
                self._forget(commit.run_id)
            if answer == "ok":
                report(made, self._redaction_of)
                if commit.terminal and self._on_end is not None:
                    self._on_end(commit.run_id)
            elif answer == "tampered":
                why = "the store refused the commit: a record of this run was tampered with"
                self._set_aside(commit.run_id, commit.etag_read, why)
            else:
                log.info("commit refused: %s", answer, extra={"run_id": commit.run_id})

    def _forget(self, run_id: str) -> None:
        with self._evicting:
            self._cache.pop(run_id, None)

    def _remember(self, commit: Commit, run: Run) -> None:
        now_s = time.monotonic()
        with self._evicting:
            self._cache.pop(commit.run_id, None)
            self._cache[commit.run_id] = (commit.etag, run, now_s)
            while len(self._cache) > CACHED or next(iter(self._cache.values()))[2] < now_s - CACHED_S:
                self._cache.popitem(last=False)  # most likely it waits for something slow

    def _park(self, run_id: str, etag: str, run: Run | None = None) -> None:
        """Set aside a run whose interpretation broke; in an except block only."""
        self._forget(run_id)
        why = traceback.format_exc()
        if run is not None:
            with contextlib.suppress(RecordTampered):  # its definition is gone, which may be what broke it
                why = self._redaction_of(run).text(why)
        self._set_aside(run_id, etag, why)

    def _set_aside(self, run_id: str, etag: str, why: str) -> None:
        """For a while that grows, then until a person asks: what is wrong may be mended meanwhile."""
        try:
            stored = self._store.load_runs([run_id])[0]
            before = stored.parked if stored is not None else 0
            stuck = before >= len(PARK_MS)
            delay_ms = 0 if stuck else PARK_MS[before]
            self._store.park(run_id, etag, delay_ms=delay_ms, stuck=stuck, error=why[-16_384:].encode())
        except RecordTampered as error:
            log.error("the run cannot even be set aside: %s", error, extra={"run_id": run_id, "traceback": why})
            return
        log.error(
            "interpreting the run broke; it is %s", "stuck" if stuck else f"tried again in {delay_ms} ms",
            extra={"run_id": run_id, "traceback": why},
        )

    def _redaction_of(self, run: Run) -> Redaction:
        """What of a run must not get into the log."""
        digest = run.header.digest
        if digest not in self._secret_schemas:
            schema = self._catalogue.definition(digest).input_schema
            self._secret_schemas[digest] = schema if has_secrets(schema) else None
        marked = self._secret_schemas[digest]
        return NOTHING_SECRET if marked is None else Redaction(marked, run.payloads.get("~input"))

    # -- queues -------------------------------------------------------------------------------------
    def _queue_of(self, worker: str) -> str:
        """The worker's own queue, as its processes published it; a worker nobody published has its name."""
        # Whoever comes while another loop reads has to wait for what it finds: a task that is sent to the name of a
        # worker with another queue is sent to where nobody looks.
        with self._reading_queues:
            age_s = time.monotonic() - self._queues_read_at
            if age_s > QUEUES_S or (age_s > UNKNOWN_QUEUE_S and worker not in self._queues):
                published = self._store.get_workers()
                self._queues = {
                    name: msgspec.json.decode(contract).get("queue") or name for name, contract in published.items()
                }
                self._queues_read_at = time.monotonic()
            return self._queues.get(worker, worker)
