"""The archive's tables, and what is written to and read from them.

A run is one row with its bundle (see monitor.bundle; without secrets), and one row a step for whoever asks in SQL. What
is written twice is there once: a row is deleted and inserted in one transaction, so a copy that was cut off by a kill
is simply made again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from runner.archive.database import NAME, NUMBER, TEXT, Database, Row, Table
from runner.figures.series import error_type
from runner.monitor.bundle import Bundle, read_bundle
from runner.monitor.shapes import RunView
from runner.monitor.views import view_run
from runner.query import Details, Query
from runner.selection import RunInfo, names_of, steps_of
from runner.store.faults import FaultGroup
from runner.wire import ErrorRecord

_KEY_END = "z" * 16  # no id has a text behind it that comes later, in any language's order of texts
_RUNS = Table("sagarun_runs", {
    "project": NAME, "run_id": NAME, "workflow": NAME, "version": NAME, "status": NAME, "run_key": TEXT + "?",
    "rerun_of": NAME, "parent": NAME, "created_at_ms": NUMBER, "ended_at_ms": NUMBER, "error_code": TEXT + "?",
    "error_step": TEXT + "?", "error_message": TEXT + "?", "definition": NAME, "bundle": TEXT,
}, key=("project", "run_id"), index=("project", "created_at_ms", "run_id"))  # fmt: skip
# The path of a step may be longer than a key may be: its place among the steps tells it apart.
_STEPS = Table("sagarun_steps", {
    "project": NAME, "run_id": NAME, "place": NUMBER, "path": TEXT, "step": NAME, "worker": TEXT, "kind": NAME,
    "status": NAME, "attempts": NUMBER + "?", "started_at_ms": NUMBER + "?", "duration_ms": NUMBER + "?",
    "error_code": TEXT + "?", "error_message": TEXT + "?",
}, key=("project", "run_id", "place"))  # fmt: skip
_DEFINITIONS = Table(
    "sagarun_definitions", {"project": NAME, "digest": NAME, "document": TEXT}, key=("project", "digest")
)
_ERRORS = Table("sagarun_errors", {
    "project": NAME, "pattern": NAME, "first_at_ms": NUMBER, "last_at_ms": NUMBER, "count": NUMBER, "state": NAME,
    "told": TEXT,
}, key=("project", "pattern", "first_at_ms"))  # fmt: skip


class Archive:
    """Of one project, in one database that others may use too. For one thread."""

    def __init__(self, database: Database, project: str) -> None:
        self._database = database
        self.project = project
        self._database.make((_RUNS, _STEPS, _DEFINITIONS, _ERRORS))

    def close(self) -> None:
        self._database.close()

    def try_writing(self) -> None:
        """Raises ArchiveUnavailable unless it can be read and written; changes nothing."""
        self._database.write([(_delete(_RUNS.name, _RUNS.key), [self._id("")])])
        self.find("0")

    # -- writing ------------------------------------------------------------------------------------
    def put_runs(self, bundles: Sequence[Bundle]) -> None:
        """On disk when this returns."""
        definitions = {
            bundle.summary["definition"]: msgspec.json.encode(bundle.definition).decode()
            for bundle in bundles if bundle.definition is not None
        }
        self._database.write([
            *self._replace(_DEFINITIONS, [
                {"project": self.project, "digest": digest, "document": text} for digest, text in definitions.items()
            ]),
            *self._replace(_RUNS, [self._run_row(bundle) for bundle in bundles]),
            (_delete(_STEPS.name, ("project", "run_id")), [self._id(bundle.run_id) for bundle in bundles]),
            (_insert(_STEPS), [row for bundle in bundles for row in self._step_rows(bundle)]),
        ])

    def put_errors(self, groups: Sequence[FaultGroup]) -> None:
        """As they are now. A group that was forgotten and came again is another row: it counts from its beginning."""
        self._database.write(self._replace(_ERRORS, [
            {
                "project": self.project, "pattern": group.group, "first_at_ms": group.first_at_ms,
                "last_at_ms": group.last_at_ms, "count": group.count, "state": group.state,
                "told": msgspec.json.encode(_told(group)).decode(),
            }
            for group in groups
        ]))

    def _replace(self, table: Table, rows: Sequence[Row]) -> list[tuple[str, Sequence[Row]]]:
        keys = [{name: row[name] for name in table.key} for row in rows]
        return [(_delete(table.name, table.key), keys), (_insert(table), rows)]

    def _id(self, run_id: str) -> Row:
        return {"project": self.project, "run_id": run_id}

    def _run_row(self, bundle: Bundle) -> Row:
        run, summary = bundle.run(), bundle.summary
        error = run.header.error if run is not None else None
        slim = msgspec.structs.replace(bundle, definition=None, contracts={})
        return {
            **self._id(bundle.run_id), "workflow": summary.get("workflow", ""), "version": summary.get("version", ""),
            "status": bundle.status, "run_key": summary.get("key", ""), "rerun_of": summary.get("rerun_of", ""),
            "parent": summary.get("parent", ""), "created_at_ms": bundle.created_at_ms,
            "ended_at_ms": bundle.updated_at_ms, "error_code": error.code if error else None,
            "error_step": error.step if error else None, "error_message": _text(error.message) if error else None,
            "definition": summary.get("definition", ""), "bundle": slim.encoded().decode(),
        }

    def _step_rows(self, bundle: Bundle) -> Iterator[Row]:
        for place, step in enumerate(view_of(bundle).steps):
            yield {
                **self._id(bundle.run_id), "place": place, "path": step.path, "step": step.id,
                "worker": step.worker or "", "kind": step.kind, "status": step.status, "attempts": step.attempts,
                "started_at_ms": step.started_at_ms, "duration_ms": step.duration_ms,
                "error_code": step.error.code if step.error else None,
                "error_message": _text(step.error.message) if step.error else None,
            }

    # -- reading ------------------------------------------------------------------------------------
    def find(self, prefix: str) -> list[str]:
        """Ids that begin so; a few."""
        wanted = prefix.strip().lower()
        if not wanted.isalnum():
            return []
        rows = self._database.read(
            "SELECT run_id FROM sagarun_runs WHERE project = :project AND run_id >= :low AND run_id <= :high"
            " ORDER BY run_id", {"project": self.project, "low": wanted, "high": wanted + _KEY_END},
        )
        return [row["run_id"] for row, _ in zip(rows, range(4), strict=False)]

    def get(self, run_id: str) -> Bundle | None:
        """With its definition."""
        rows = self._database.read(
            "SELECT bundle, definition FROM sagarun_runs WHERE project = :project AND run_id = :run_id",
            self._id(run_id),
        )
        row = next(iter(rows), None)
        if row is None:
            return None
        documents = self._database.read(
            "SELECT document FROM sagarun_definitions WHERE project = :project AND digest = :digest",
            {"project": self.project, "digest": row["definition"]},
        )
        document = next(iter(documents), None)
        bundle = read_bundle(row["bundle"].encode())
        if document is None:
            return bundle
        return msgspec.structs.replace(bundle, definition=msgspec.json.decode(document["document"]))

    def runs(self, query: Query) -> Iterator[RunInfo]:
        """Those that it fits, the newest first. Reads the bundles only if it asks for something in them."""
        if query.wants_live_only:
            return
        wanted = "bundle" if query.needs_details else "'' AS bundle"
        for row in self._database.read(
            "SELECT run_id, workflow, version, status, run_key, rerun_of, parent, created_at_ms, ended_at_ms, "
            f"error_code, error_step, error_message, {wanted} FROM sagarun_runs WHERE project = :project"
            " AND created_at_ms >= :since_ms AND created_at_ms < :until_ms ORDER BY created_at_ms DESC, run_id DESC",
            {"project": self.project, "since_ms": query.since_ms, "until_ms": query.until_ms or 2**62},
        ):
            info = RunInfo(
                row["run_id"], row["status"], row["workflow"], row["version"], row["run_key"], row["rerun_of"],
                row["created_at_ms"], row["ended_at_ms"], row["parent"], archived=True,
                error=_error_type(row), error_step=row["error_step"] or "",
            )  # fmt: skip
            if query.fits_listed(info.listed()) and (not query.needs_details or _fits(query, row["bundle"])):
                yield info

    def errors(self, since_ms: int = 0) -> list[FaultGroup]:
        """Each group once, with the counts of all its beginnings."""
        found: dict[str, FaultGroup] = {}
        for row in self._database.read(
            "SELECT told FROM sagarun_errors WHERE project = :project AND last_at_ms >= :since_ms ORDER BY first_at_ms",
            {"project": self.project, "since_ms": since_ms},
        ):  # fmt: skip
            group = _TOLD.decode(row["told"].encode()).group_of()
            before = found.get(group.group)
            found[group.group] = group if before is None else together(before, group)
        return sorted(found.values(), key=lambda group: (group.last_at_ms, group.group), reverse=True)


def _error_type(row: Row) -> str:
    return error_type(ErrorRecord(row["error_code"], message=row["error_message"] or "")) if row["error_code"] else ""


def _fits(query: Query, text: str) -> bool:
    bundle = read_bundle(text.encode())
    run = bundle.run()
    groups = frozenset(bundle.stopped_by)
    if run is None:
        return query.fits_details(Details(bundle.input, None, frozenset(), frozenset(), groups))
    output = run.payloads.get("~output")
    return query.fits_details(Details(bundle.input, output, names_of(run), frozenset(steps_of(run)), groups))


def view_of(bundle: Bundle) -> RunView:
    return view_run(bundle.stored(), bundle.run(), bundle.plan(), bundle.events())


def together(older: FaultGroup, newer: FaultGroup) -> FaultGroup:
    """One group that was counted twice over, at different times: forgotten in between, or in two places."""
    hours, marks = dict(older.hours), dict(older.marks)
    for hour, count in newer.hours.items():
        hours[hour] = hours.get(hour, 0) + count
    for mark, count in newer.marks.items():
        marks[mark] = marks.get(mark, 0) + count
    return msgspec.structs.replace(
        newer, count=older.count + newer.count, first_at_ms=older.first_at_ms, hours=hours, marks=marks,
        samples=tuple(dict((*older.samples, *newer.samples)).items()),
    )


def _delete(table: str, keys: Sequence[str]) -> str:
    return f"DELETE FROM {table} WHERE " + " AND ".join(f"{name} = :{name}" for name in keys)


def _insert(table: Table) -> str:
    values = ", ".join(f":{name}" for name in table.columns)
    return f"INSERT INTO {table.name} ({', '.join(table.columns)}) VALUES ({values})"


def _text(told: str) -> str:
    """PostgreSQL keeps no NUL, and one that refuses a row would hold up all that end after it."""
    return told.replace("\0", "\\u0000")


class _Told(msgspec.Struct, frozen=True):
    """A group as JSON."""

    group: str
    about: str
    count: int
    first_at_ms: int
    last_at_ms: int
    hours: dict[int, int]
    marks: dict[str, int]
    samples: list[tuple[str, int]]
    state: Any
    note: str
    regressed_at_ms: int

    def group_of(self) -> FaultGroup:
        return FaultGroup(
            self.group, self.about.encode(), self.count, self.first_at_ms, self.last_at_ms, self.hours, self.marks,
            tuple(self.samples), self.state, self.note.encode(), self.regressed_at_ms,
        )


def _told(group: FaultGroup) -> _Told:
    return _Told(
        group.group, group.about.decode(), group.count, group.first_at_ms, group.last_at_ms, dict(group.hours),
        dict(group.marks), list(group.samples), group.state, group.note.decode(), group.regressed_at_ms,
    )


_TOLD = msgspec.json.Decoder(_Told)
