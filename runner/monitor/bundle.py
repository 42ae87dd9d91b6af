"""A run with all that is needed to look at it elsewhere, as one JSON document: for a colleague, a test, an archive.

Rule: nothing that is marked `x-secret` is in it, and there is no way to have it in: a bundle is made to be handed on.
So a run cannot be started again from one, but it can be shown, and its history be replayed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from runner.definition.parse import parse_document
from runner.definition.secret_input import Redaction
from runner.interpreter import event as ev
from runner.interpreter.plan import Plan, compile_plan
from runner.interpreter.record import decode_events, run_of
from runner.interpreter.state import Run
from runner.selection import STOPPED, asked_with
from runner.store.ports import StoredRun

FORMAT, VERSION = "sagarun-bundle", 1


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """`history` is one list of events a commit. `redacted`: something was hidden."""

    format: str = FORMAT
    version: int = VERSION
    exported_at_ms: int
    project: str
    run_id: str
    status: str
    terminal: bool
    created_at_ms: int
    updated_at_ms: int
    summary: dict[str, Any]
    redacted: bool = False
    broken: str = ""
    parked: int = 0
    input: Any = None
    stopped_by: tuple[str, ...] = ()  # groups of errors
    definition: Any = None  # None: it was not in the store any more
    contracts: dict[str, Any] = {}
    state: Any = None
    fields: dict[str, Any] = {}
    history: list[list[Any]] = []

    def run(self) -> Run | None:
        """None: no engine ever took it up."""
        if self.state is None:
            return None
        fields = {name: _ENCODER.encode(value) for name, value in self.fields.items()}
        return run_of(_ENCODER.encode(self.state), fields)

    def plan(self) -> Plan | None:
        return compile_plan(parse_document(self.definition)) if self.definition is not None else None

    def events(self) -> list[ev.AnyEvent]:
        """With the payloads that are in the fields."""
        run = self.run()
        entries = [_ENCODER.encode(entry) for entry in self.history]
        return decode_events(entries, run.payloads if run is not None else {})

    def stored(self) -> StoredRun:
        """As the store had it, without what only the store needed."""
        return StoredRun(
            run_id=self.run_id, etag="", status=self.status, terminal=self.terminal,
            summary=_ENCODER.encode(self.summary), state=_ENCODER.encode(self.state) if self.state is not None else b"",
            fields={name: _ENCODER.encode(value) for name, value in self.fields.items()}, tasks={}, entries=(),
            created_at_ms=self.created_at_ms, updated_at_ms=self.updated_at_ms, broken=self.broken.encode(),
            parked=self.parked,
        )

    def encoded(self) -> bytes:
        return _ENCODER.encode(self)


_INPUT = "p:~input"
_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Bundle)


def read_bundle(data: bytes) -> Bundle:
    """Raises ValueError, saying what is wrong with it."""
    try:
        bundle = _DECODER.decode(data)
    except msgspec.DecodeError as error:
        raise ValueError(f"this is no bundle of a run: {error}") from None
    if bundle.format != FORMAT:
        raise ValueError(f"this is no bundle of a run: its format is {bundle.format!r}")
    if bundle.version > VERSION:
        raise ValueError(f"the bundle has version {bundle.version}; this sagarun reads up to version {VERSION}")
    return bundle


def bundle_of(
    stored: StoredRun, history: Sequence[bytes], document: bytes | None, contracts: Mapping[str, Any],
    redaction: Redaction, *, project: str, now_ms: int,
) -> Bundle:
    """`contracts`: of all workers that are known; those that the definition names are taken.

    Without the definition nobody knows what is secret, so nothing of the run's data is taken then.
    """
    if document is None:
        stored, history, redaction = replace(stored, state=b"", fields={}, entries=(), broken=b""), (), Redaction()
    definition = msgspec.json.decode(document) if document is not None else None
    named = _workers_in(definition)
    return Bundle(
        exported_at_ms=now_ms, project=project, run_id=stored.run_id, status=stored.status or "pending",
        terminal=stored.terminal, created_at_ms=stored.created_at_ms, updated_at_ms=stored.updated_at_ms,
        summary=msgspec.json.decode(stored.summary) if stored.summary else {}, redacted=redaction.is_needed,
        broken=redaction.text(stored.broken.decode("utf-8", "replace")), parked=stored.parked,
        input=redaction.input if redaction.is_needed else _input(stored),
        stopped_by=tuple(sorted(name.removeprefix(STOPPED) for name in stored.fields if name.startswith(STOPPED))),
        definition=definition, contracts={name: contracts[name] for name in sorted(named & contracts.keys())},
        state=_state(stored, redaction), fields=dict(_fields(stored, redaction)),
        history=[[redaction.record(event) for event in msgspec.json.decode(entry)] for entry in history],
    )


def _input(stored: StoredRun) -> Any:
    return msgspec.json.decode(stored.fields[_INPUT]) if _INPUT in stored.fields else asked_with(stored)


def _state(stored: StoredRun, redaction: Redaction) -> Any:
    if not stored.state:
        return None
    state = msgspec.json.decode(stored.state)
    return {name: redaction.record(part) if isinstance(part, dict) else part for name, part in state.items()}


def _fields(stored: StoredRun, redaction: Redaction) -> Any:
    for name, value in sorted(stored.fields.items()):
        if name == _INPUT and redaction.is_needed:
            yield name, redaction.input
        elif value:
            hide: Callable[[Any], Any] = redaction.of if name.startswith("p:") else redaction.record
            yield name, hide(msgspec.json.decode(value))


def _workers_in(value: Any) -> frozenset[str]:
    """Every text that is a worker's name where the definition says `worker`."""
    if isinstance(value, dict):
        own = {value["worker"]} if isinstance(value.get("worker"), str) else set()
        return frozenset(own.union(*(_workers_in(each) for each in value.values())))
    if isinstance(value, list):
        return frozenset().union(*(_workers_in(each) for each in value))
    return frozenset()
