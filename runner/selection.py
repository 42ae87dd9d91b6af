"""The runs that a query fits, the newest first; reads no more than it has to.

What a list shows is read in pages, within the times that the query names; the whole run only of those that fit so far
and if the query asks for something in it; and no further than to the last one that is wanted.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from runner.catalogue import Catalogue
from runner.definition.inputs import has_secrets
from runner.definition.secret_input import NOTHING_SECRET, Redaction
from runner.errors import RecordTampered
from runner.figures.series import error_type
from runner.interpreter.ending import standing_of
from runner.interpreter.paths import static
from runner.interpreter.plan import Plan
from runner.interpreter.record import decode_header, run_of
from runner.interpreter.state import TERMINAL, Run, Standing
from runner.query import Details, Listed, Query
from runner.store.ports import RunRow, Store, StoredRun

STOPPED = "stopped:"  # and a group of errors: a field of each run that turned back or got stuck because of it
_TELLING = frozenset({"running", "compensating", "stuck", "compensated", "cancelled", "abandoned"})
_FIRST_PAGE, _PAGE = 50, 500
_DETAILS_AT_ONCE = 50


class RunInfo(msgspec.Struct, frozen=True):
    """A run as a list has it."""

    run_id: str
    status: str
    workflow: str
    version: str
    key: str
    rerun_of: str
    created_at_ms: int
    updated_at_ms: int
    parent: str = ""  # the run that started it as its child
    waits_for: str = ""  # pending: the slot of its `concurrency` that is full
    archived: bool = False  # it is in the archive, and on the server no more
    # Where whoever lists has looked:
    error: str = ""  # the code that it went back with; of an exception its type
    error_step: str = ""
    stuck: str = ""  # the code (or type) that an operation is stuck with, which may be an undo's or a confirmation's
    stuck_step: str = ""  # "charge", "the undo of charge", "the confirmation of charge"
    stuck_run: str = ""  # the run below it that it waits for, and in which a person must act
    standing: tuple[str, ...] = ()  # steps whose effects still stand, of a run that is stuck or ended so

    def listed(self) -> Listed:
        return Listed(self.run_id, self.status, self.workflow, self.version, self.key, self.parent, self.rerun_of,
                      self.updated_at_ms)  # fmt: skip


class Selection:
    """Of one store and one query. `looked_at` counts what was read, for whoever wants to know what it costs."""

    def __init__(self, store: Store, catalogue: Catalogue, query: Query) -> None:
        self._store = store
        self._catalogue = catalogue
        self._query = query
        self.looked_at = 0
        self.loaded = 0

    def rows(self) -> Iterator[RunRow]:
        """Each run once, though runs may come and go meanwhile; those that begin later are left out."""
        until_ms = self._query.until_ms or self._store.now_ms()
        seen: set[str] = set()
        for page in self._pages(until_ms):
            fresh = [row for row in page if row.run_id not in seen]
            seen.update(row.run_id for row in fresh)
            fitting = [row for row in fresh if self._query.fits_listed(listed(row))]
            yield from self._with_details(fitting) if self._query.needs_details else fitting

    def _pages(self, until_ms: int) -> Iterator[Sequence[RunRow]]:
        offset, size = 0, _FIRST_PAGE
        live = self._store.count_live() if self._query.wants_live_only else -1
        while live:
            page = self._store.list_runs(limit=size, offset=offset, since_ms=self._query.since_ms, until_ms=until_ms)
            self.looked_at += len(page)
            yield page
            offset, size = offset + size, min(_PAGE, 2 * size)
            if not page:
                return
            if live > 0:  # none of them is behind the last one that is not over
                live = max(0, live - sum(row.status not in TERMINAL for row in page))

    def _with_details(self, rows: Sequence[RunRow]) -> Iterator[RunRow]:
        for begin in range(0, len(rows), _DETAILS_AT_ONCE):
            part = rows[begin : begin + _DETAILS_AT_ONCE]
            for row, stored in zip(part, self._load([row.run_id for row in part]), strict=True):
                if stored is not None and self._query.fits_details(self._details(stored)):
                    yield row

    def _load(self, run_ids: Sequence[str]) -> list[StoredRun | None]:
        self.loaded += len(run_ids)
        try:
            return self._store.load_runs(run_ids)
        except RecordTampered:
            if len(run_ids) == 1:
                return [None]
            return [stored for run_id in run_ids for stored in self._load([run_id])]

    def _details(self, stored: StoredRun) -> Details:
        """Without what is secret: what cannot be seen cannot be found out by asking for it either."""
        run = run_of(stored.state, stored.fields) if stored.state else None
        given = run.payloads.get("~input") if run is not None else asked_with(stored)
        redaction = self._redaction(stored, given)
        groups = frozenset(name.removeprefix(STOPPED) for name in stored.fields if name.startswith(STOPPED))
        if run is None:
            return Details(redaction.input, None, frozenset(), frozenset(), groups)
        errors = names_of(run)
        output = redaction.of(run.payloads.get("~output"))
        return Details(redaction.input, output, errors, frozenset(steps_of(run)), groups)

    def _redaction(self, stored: StoredRun, value: Any) -> Redaction:
        digest = msgspec.json.decode(stored.summary).get("definition", "") if stored.summary else ""
        try:
            schema = self._catalogue.definition(digest).input_schema
        except RecordTampered:  # what it marked cannot be known, so nothing of the input is looked at
            return NOTHING_SECRET
        return Redaction(schema, value) if has_secrets(schema) else Redaction(None, value)


def listed(row: RunRow) -> Listed:
    return run_info(row).listed()


def asked_with(stored: StoredRun) -> Any:
    """The input of a run that no engine has looked at: it is in its first inbox entry."""
    started = [entry.body for entry in stored.entries if entry.kind == "started"]
    return msgspec.json.decode(started[0]).get("input") if started else None


def errors_of(run: Run) -> Iterator[Any]:
    """The run's own, and those of its steps, their verifications, undos and confirmations."""
    if run.header.error is not None:
        yield run.header.error
    for node in run.nodes.values():
        yield from filter(None, (node.error, node.verify_error, node.undo_error, node.confirm_error))


def names_of(run: Run) -> frozenset[str]:
    """By which its errors may be looked for: their codes, and the types of exceptions."""
    return frozenset(name for error in errors_of(run) for name in (error.code, error_type(error)))


def with_errors(store: Store, catalogue: Catalogue, runs: Sequence[RunInfo]) -> list[RunInfo]:
    """The same, with what each failed with, is stuck at, and what stands: in the states of those shown, and, where a
    person must act, in the whole run."""
    asked = [run.run_id for run in runs if run.status in _TELLING and not run.archived]
    headers = {id: decode_header(state) for id, state in zip(asked, store.load_states(asked), strict=True) if state}
    held_up = [run_id for run_id, header in headers.items() if header.stuck or header.stuck_children]
    known = {run_id: Run(headers[run_id], {}, {}) for run_id in headers.keys() - set(held_up)}
    for begin in range(0, len(held_up), _DETAILS_AT_ONCE):
        for stored in _readable(store, held_up[begin : begin + _DETAILS_AT_ONCE]):
            known[stored.run_id] = run_of(stored.state, stored.fields)
    return [replace(run, **_what_stopped(known[run.run_id], catalogue)) if run.run_id in known else run for run in runs]


def _readable(store: Store, run_ids: Sequence[str]) -> list[StoredRun]:
    try:
        return [stored for stored in store.load_runs(run_ids) if stored is not None]
    except RecordTampered:
        return [] if len(run_ids) == 1 else [each for run_id in run_ids for each in _readable(store, [run_id])]


def _what_stopped(run: Run, catalogue: Catalogue) -> dict[str, Any]:
    """Fields of RunInfo."""
    plan = None
    if run.header.stuck:
        with contextlib.suppress(RecordTampered):
            plan = catalogue.plan(run.header.digest)
    stands = tuple(dict.fromkeys(each.step for each in standing(run, plan)))
    told: dict[str, Any] = {"stuck_run": stuck_run(run), "standing": stands}
    if run.header.error is not None:
        told |= {"error": error_type(run.header.error), "error_step": run.header.error.step}
    for path in run.header.stuck[:1]:
        node, name = run.nodes[path], static(path).rpartition("/")[2] or "the output"
        is_undo = node.undo == "undoing"
        error = node.confirm_error if run.header.decided else node.undo_error if is_undo else node.error
        what = "the confirmation of " if run.header.decided else "the undo of " if is_undo else ""
        told |= {"stuck": error_type(error) if error is not None else "", "stuck_step": what + name}
    return told


def standing(run: Run, plan: Plan | None) -> tuple[Standing, ...]:
    """Of a run that is over: as it was recorded. Of one that is stuck: as it is now, for who has to mend it."""
    if run.header.is_terminal:
        return run.header.standing
    return standing_of(plan, run, run.header.status) if plan is not None and run.header.stuck else ()


def stuck_run(run: Run) -> str:
    """Of one that only waits for a run below it in which a person must act: that run."""
    header = run.header
    if header.is_terminal or header.stuck or not header.waits_for_person:
        return ""
    return run.nodes[header.stuck_children[0]].child_stuck


def steps_of(run: Run) -> Iterator[str]:
    """Ids of the steps where it failed, is stuck, or has something out."""
    if run.header.error is not None and run.header.error.step:
        yield run.header.error.step
    under_way = [path for path, node in run.nodes.items() if node.open or node.timer or node.waiting]
    for path in (*run.header.stuck, *under_way):
        yield static(path).rpartition("/")[2]


def run_info(row: RunRow) -> RunInfo:
    summary: dict[str, Any] = msgspec.json.decode(row.summary) if row.summary else {}
    return RunInfo(
        run_id=row.run_id, status=row.status or "pending", workflow=summary.get("workflow", ""),
        version=summary.get("version", ""), key=summary.get("key", ""), rerun_of=summary.get("rerun_of", ""),
        parent=summary.get("parent", ""), created_at_ms=row.created_at_ms,
        updated_at_ms=row.updated_at_ms, waits_for=row.waits_for,
    )
