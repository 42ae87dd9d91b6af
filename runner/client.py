"""Start runs, wait for them, and steer them: what the command line, a dashboard and applications share.

A client asks and reads; engines decide. So everything here may be repeated after a lost connection: a start carries a
nonce and mostly an id derived from its key, a request carries a nonce, and the rest is reading.
"""

from __future__ import annotations

import functools
import os
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from runner.catalogue import Catalogue
from runner.definition.inputs import InputChecker, has_secrets
from runner.definition.model import Definition
from runner.definition.project import find_project
from runner.definition.secret_input import Redaction
from runner.definition.signals import prepare_signal, signal_names, unknown_signal
from runner.errors import (
    ConfigError,
    DuplicateRun,
    InputError,
    RecordTampered,
    RunConflict,
    RunLimited,
    RunNotFound,
    UsageError,
    VerbRefused,
)
from runner.interpreter import event as ev
from runner.interpreter.record import decode_events, decode_header, run_of
from runner.interpreter.run_id import ALPHABET
from runner.interpreter.state import Run, Standing
from runner.interpreter.verdict import RESOLUTIONS, Verdict, plain_refusal, verdict_in
from runner.lint.checked import load_checked
from runner.query import parse_query
from runner.selection import RunInfo, Selection, asked_with, run_info
from runner.starting import caller, check_key, check_signal_id, key_of, new_run, slot_of
from runner.store.opening import OpenStore, open_store
from runner.store.ports import MAX_BATCH, NewRun, Request, Slot, StartAnswer, Store, StoredRun
from runner.wire import ErrorRecord

MAX_RERUNS = 1_000
ALIVE_MS = 10_000  # a process that was seen within this time is taken to live
UNDONE = ("compensated", "cancelled")
AT_ONCE = ("cancel", "abandon")  # also of a run that waits to begin
_FIRST_POLL_S, _LAST_POLL_S = 0.002, 0.1


class RunResult(msgspec.Struct, frozen=True):
    """How a run ended, or (status "stuck") where it rests until a person acts. A failed run is a value."""

    run_id: str
    status: str
    output: Any = None
    error: ErrorRecord | None = None
    standing: tuple[Standing, ...] = ()
    stuck_run: str = ""  # of one that is stuck because a child of it is: the run in which a person must act

    @property
    def is_completed(self) -> bool:
        return self.status == "completed"


class _Start(NamedTuple):
    """A run to be, and what it was made of."""

    definition: Definition
    value: Any
    key: str
    run: NewRun


class RunHandle:
    """One run, from here on. `created` is False when the key had been used and the run was there already."""

    def __init__(self, client: Client, run_id: str, *, created: bool = False) -> None:
        self._client = client
        self.id = run_id
        self.created = created

    def __repr__(self) -> str:
        return f"<run {self.id}>"

    def status(self) -> str:
        """pending, running, compensating, stuck, completed, compensated, cancelled or abandoned."""
        return self._client.stored(self.id).status or "pending"

    def result(self, timeout: float | None = None) -> RunResult:
        """Wait until the run has ended or is stuck. TimeoutError after `timeout` seconds; the run goes on."""
        return self._client.wait(self.id, timeout)

    def events(self, start: int = 0) -> list[ev.AnyEvent]:
        """Its history from this event on, without payloads."""
        return decode_events(self._client.store.history(self.id), {})[start:]


class Client:
    """Talks to one project's store. A context manager; `close` it when you are done.

    url: the server (default: SAGARUN_REDIS_URL, else redis_url of sagarun.yaml, else the project's embedded server).
    namespace: default: the project's name. root: where the project is looked for (default: the current folder).
    """

    def __init__(
        self, url: str | None = None, *, namespace: str | None = None, root: Path | str | None = None,
        store: Store | None = None, contracts: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.project = find_project(Path(root) if root is not None else Path.cwd())
        self._open: OpenStore | None = None
        if store is None:
            self._open = open_store(
                url or os.environ.get("SAGARUN_REDIS_URL") or self.project.redis_url,
                namespace=namespace or self.project.namespace, state_dir=self.project.state,
                durability=self.project.durability,
            )
            store = self._open.store
        self.store = store
        self.catalogue = Catalogue(store)
        self._contracts = contracts
        self._checkers: dict[str, InputChecker] = {}
        self._redactions: dict[str, Redaction] = {}

    def close(self) -> None:
        if self._open is not None:
            self._open.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- starting -----------------------------------------------------------------------------------
    def start(
        self, workflow: str | Path | Definition, input: Any = None, idempotency_key: str | None = None
    ) -> RunHandle:
        """Start a run of a definition: its file, its name in `definitions/`, or a loaded one.

        Raises DefinitionError, InputError, RunConflict (the key was used with another input), DuplicateRun,
        RunLimited (as many runs as its `concurrency` allows are under way, and more are rejected, not "pending").
        """
        return self.start_many(workflow, [input], [idempotency_key] if idempotency_key is not None else None)[0]

    def start_many(
        self, workflow: str | Path | Definition, inputs: Iterable[Any], idempotency_keys: Sequence[str] | None = None
    ) -> Sequence[RunHandle]:
        """The same for many inputs, in few round trips. Nothing is started if one of the inputs is wrong."""
        definition = self.resolve_definition(workflow)
        prepared = [self._prepare(definition, value) for value in inputs]
        if idempotency_keys is None:
            idempotency_keys = [key_of(definition, value) for value in prepared]
        elif len(idempotency_keys) != len(prepared):
            raise UsageError(f"{len(prepared)} inputs and {len(idempotency_keys)} idempotency keys")
        wanted = [
            (value, key, self._slot_of(definition, value, check_key(key)))
            for value, key in zip(prepared, idempotency_keys, strict=True)
        ]
        by = caller()
        starts: list[_Start] = []
        answers: list[StartAnswer] = []
        # Made as they are sent: the first ones are under way while the last ones are still being written.
        for begin in range(0, len(wanted), MAX_BATCH):
            made = [self._start_of(definition, *each, by=by) for each in wanted[begin : begin + MAX_BATCH]]
            answers += self.catalogue.start(definition, [start.run for start in made])
            starts += made
        return [self._started(start, answer) for start, answer in zip(starts, answers, strict=True)]

    def resolve_definition(self, workflow: str | Path | Definition) -> Definition:
        if isinstance(workflow, Definition):
            return workflow
        path = Path(workflow)
        if not path.suffix:
            path = self._by_name(str(workflow))
        return load_checked(path, root=find_project(path).root, contracts=self.contracts())

    def contracts(self) -> Mapping[str, Mapping[str, Any]] | None:
        """What is known of the workers: given, or published by those that run. None: nothing is."""
        if self._contracts is None:
            published = self.store.get_workers()
            return {name: msgspec.json.decode(contract) for name, contract in published.items()} or None
        return self._contracts

    def _by_name(self, name: str) -> Path:
        folder = self.project.definitions
        for suffix in (".yaml", ".yml"):
            if (folder / f"{name}{suffix}").is_file():
                return folder / f"{name}{suffix}"
        raise ConfigError(f"there is no definition {name!r} in {folder}")

    def _prepare(self, definition: Definition, value: Any) -> Any:
        checker = self._checkers.get(definition.digest)
        if checker is None:
            checker = self._checkers[definition.digest] = InputChecker(definition.input_schema)
        return checker.prepare({} if value is None and definition.input_schema else value)

    def _slot_of(self, definition: Definition, value: Any, key: str) -> Slot | None:
        """What the run has to have before it may begin. Raises InputError for a name of it that nobody may see."""
        slot = slot_of(definition, value)
        named = {"idempotency key": key, "key of concurrency": slot.name if slot else ""}
        if any(named.values()):
            redaction = Redaction(definition.input_schema, value)
            for what, text in named.items():
                if redaction.text(text) != text:  # keys are shown, logged and part of names in Redis
                    raise InputError([f"the {what} would show a part of it that the schema marks x-secret"],
                                     wrong="gives no key")
        return slot

    def _start_of(
        self, definition: Definition, value: Any, key: str, slot: Slot | None, **about: str
    ) -> _Start:
        """Not stored yet. `about`: rerun_of, by, reason."""
        return _Start(definition, value, key, new_run(self.store.namespace, definition, value, key, slot=slot, **about))

    def _started(self, start: _Start, answer: StartAnswer) -> RunHandle:
        """The run that came of it; where the definition wants that, the first free one after those that were undone."""
        definition, base, number = start.definition, start.key, 1
        while answer.answer != "created":
            _check_answer(start, answer)
            there = f"{definition.workflow} was started with the key {start.key!r} before"
            which = f"run {start.run.run_id}, {answer.status or 'pending'}"
            if answer.answer == "conflict":
                raise RunConflict(f"{there}, with another input ({which})")
            if definition.on_duplicate == "reject":
                raise DuplicateRun(f"{there} ({which}), and on_duplicate says reject")
            if definition.on_duplicate != "rerun_if_undone" or answer.status not in UNDONE or number == MAX_RERUNS:
                return RunHandle(self, start.run.run_id)
            number += 1
            key, slot = f"{base}~{number}", start.run.slot
            start = self._start_of(definition, start.value, key, slot, rerun_of=start.run.run_id, by=caller())
            answer = self.catalogue.start(definition, [start.run])[0]
        return RunHandle(self, start.run.run_id, created=True)

    def rerun(self, run: str, *, reason: str = "", by: str = "") -> RunHandle:
        """A new run with the definition and input of this one, and its key with a number added."""
        stored = self.check_applies(self.find(run), "rerun")
        state = self.state(stored)
        if state is None:
            raise VerbRefused(f"run {stored.run_id} ended before it began")
        definition = self.catalogue.definition(state.header.digest)
        value, base = state.payloads.get("~input"), state.header.key
        if state.header.rerun_of:
            base = base.rpartition("~")[0]  # without the number that it was given; a key may have a `~` of its own
        for number in range(2, MAX_RERUNS):
            key = f"{base}~{number}" if base else ""
            slot = self._slot_of(definition, value, key)
            about = {"rerun_of": stored.run_id, "by": by or caller(), "reason": reason}
            start = self._start_of(definition, value, key, slot, **about)
            answer = self.catalogue.start(definition, [start.run])[0]
            _check_answer(start, answer)
            if answer.answer == "created":
                return RunHandle(self, start.run.run_id, created=True)
        raise DuplicateRun(f"the key {base!r} was run again {MAX_RERUNS} times")

    # -- reading ------------------------------------------------------------------------------------
    def get(self, run: str) -> RunHandle:
        """By id, or by the beginning of one."""
        return RunHandle(self, self.find(run))

    def list(self, query: str = "", *, limit: int = 50, offset: int = 0, status: str = "") -> list[RunInfo]:
        """Newest first; those that the query fits (docs/runs.md has its language). Raises UsageError."""
        wanted = parse_query(f"{query} status:{status}" if status else query, self.store.now_ms())
        rows = Selection(self.store, self.catalogue, wanted).rows()
        return [run_info(row) for row in islice(rows, offset, offset + limit)]

    def find(self, prefix: str) -> str:
        """The full id of the one run whose id begins so. Raises RunNotFound."""
        wanted = prefix.strip().lower()
        if not wanted or not set(wanted) <= set(ALPHABET):
            raise RunNotFound(f"{prefix!r} is not a run's id", prefix)
        found = self.store.find_runs(wanted, limit=4)
        if not found:
            raise RunNotFound(f"there is no run {prefix!r} in project {self.store.namespace!r}", prefix)
        if len(found) > 1 and wanted not in found:
            raise RunNotFound(f"{prefix!r} is the beginning of several runs: {', '.join(found[:3])} …")
        return wanted if wanted in found else found[0]

    def stored(self, run_id: str) -> StoredRun:
        stored = self.store.load_runs([run_id])[0]
        if stored is None:
            raise RunNotFound(f"there is no run {run_id!r} (any more)")
        return stored

    def state(self, stored: StoredRun) -> Run | None:
        """None until an engine took it up."""
        return run_of(stored.state, stored.fields) if stored.state else None

    def wait(self, run_id: str, timeout: float | None = None) -> RunResult:
        """See RunHandle.result."""
        deadline = None if timeout is None else time.monotonic() + timeout
        pause_s = _FIRST_POLL_S
        while True:
            stored = self.stored(run_id)
            if stored.terminal or (stored.state and decode_header(stored.state).waits_for_person):
                return self._result(stored)
            if deadline is not None and time.monotonic() >= deadline:
                raise TimeoutError(f"run {run_id} is {stored.status or 'pending'} after {timeout:g} s; it goes on")
            time.sleep(pause_s if deadline is None else max(0.0, min(pause_s, deadline - time.monotonic())))
            pause_s = min(pause_s * 1.5, _LAST_POLL_S)

    def _result(self, stored: StoredRun) -> RunResult:
        run = self.state(stored)
        if run is None:
            return RunResult(stored.run_id, stored.status)
        below = [run.nodes[path].child_stuck for path in run.header.stuck_children]
        return RunResult(
            stored.run_id, stored.status if stored.terminal else "stuck", run.payloads.get("~output"),
            run.header.error, run.header.standing, "" if run.header.stuck or not below else below[0],
        )

    def redaction(self, run_id: str) -> Redaction:
        """What of the run nobody is to see, by `x-secret` in the schema of its input; for whoever shows it.

        Results and events of this class are not redacted: programs need them as they are.
        """
        if run_id not in self._redactions:
            stored = self.stored(run_id)
            try:
                schema = self._definition_of(stored).input_schema
            except RecordTampered:  # the definition is gone; what it marked cannot be known
                return Redaction()
            if not has_secrets(schema):
                self._redactions[run_id] = Redaction()
            else:
                state = self.state(stored)
                if state is None:  # no engine took it up: its input is still in its inbox, and may be shown from there
                    return Redaction(schema, asked_with(stored))
                self._redactions[run_id] = Redaction(schema, state.payloads.get("~input"))
        return self._redactions[run_id]

    # -- steering -----------------------------------------------------------------------------------
    def cancel(self, run: str, *, reason: str = "", by: str = "", timeout: float = 5.0) -> Verdict:
        """Stop the run and undo it. See `_ask` for the answer."""
        return self._ask(run, "cancel", functools.partial(ev.CancelRequested, reason=reason), timeout, by=by)

    def abandon(self, run: str, *, reason: str = "", by: str = "", timeout: float = 5.0) -> Verdict:
        """End the run without undoing anything; what stands is listed."""
        return self._ask(run, "abandon", functools.partial(ev.AbandonRequested, reason=reason), timeout, by=by)

    def resume(self, run: str, *, reason: str = "", by: str = "", timeout: float = 5.0) -> Verdict:
        """Ask the stuck operations again, each with a fresh budget."""
        return self._ask(run, "resume", functools.partial(ev.ResumeRequested, reason=reason), timeout, by=by)

    def resolve(
        self, run: str, step: str, as_: str, *, output: Any = None, reason: str = "", by: str = "",
        timeout: float = 5.0,
    ) -> Verdict:
        """Say how a stuck step was settled by hand: completed, failed, compensated or skipped."""
        if as_ not in RESOLUTIONS:
            raise UsageError(f"{as_!r} is not one of {', '.join(RESOLUTIONS)}")
        ask = functools.partial(ev.ResolveRequested, step=step, as_=as_, output=output, reason=reason)
        return self._ask(run, "resolve", ask, timeout, by=by)

    def signal(
        self, run: str, name: str, data: Any = None, *, signal_id: str | None = None, reason: str = "", by: str = "",
        timeout: float = 5.0,
    ) -> Verdict:
        """Tell the run something that a `wait_for` of it takes, now or when it gets there. See `_ask` for the answer.

        signal_id: give one where the call may be repeated; a repeat does nothing and is answered with "repeated".
        Raises VerbRefused (also for a name that no step of it waits for), SignalMisfit, RunNotFound.
        """
        stored = self.stored(self.find(run))
        nonce = f"signal:{secrets.token_hex(8) if signal_id is None else check_signal_id(signal_id)}"
        if signal_id is not None and self._was_taken(stored.run_id, nonce):
            return "repeated"
        try:
            return self._send(stored, name, data, nonce, timeout, reason=reason, by=by)
        except VerbRefused:
            # One that was posted before and answered just now may have ended the run.
            if signal_id is not None and self._was_taken(stored.run_id, nonce):
                return "repeated"
            raise

    def _send(
        self, stored: StoredRun, name: str, data: Any, nonce: str, timeout: float, *, reason: str, by: str
    ) -> Verdict:
        self.check_applies(stored.run_id, "signal")
        definition = self._definition_of(stored)
        if name not in signal_names(definition):
            below = self._below_that_takes(stored, name)
            if below:
                raise VerbRefused(f"run {stored.run_id} takes no signal {name}, but run {below} below it does")
            raise VerbRefused(f"run {stored.run_id} {unknown_signal(definition, name)}")
        value = prepare_signal(definition, name, data)
        signal_id = nonce.removeprefix("signal:")
        ask = functools.partial(ev.SignalSent, name=name, data=value, signal_id=signal_id, reason=reason)
        return self._ask(stored.run_id, "signal", ask, timeout, nonce=nonce, by=by)

    def _definition_of(self, stored: StoredRun) -> Definition:
        digest = msgspec.json.decode(stored.summary).get("definition", "") if stored.summary else ""
        return self.catalogue.definition(digest)

    def _below_that_takes(self, stored: StoredRun, name: str) -> str:
        """A run under way that this one has started, directly or not, and that takes signals of this name."""
        run = self.state(stored)
        children = [node.child for node in run.nodes.values() if node.child] if run is not None else []
        for child in self.store.load_runs(children):
            if child is None or child.terminal:
                continue
            takes = name in signal_names(self._definition_of(child))
            found = child.run_id if takes else self._below_that_takes(child, name)
            if found:
                return found
        return ""

    def _was_taken(self, run_id: str, nonce: str) -> bool:
        """Whether a signal with this nonce was accepted before. Raises VerbRefused if it was refused.

        One that was posted and not answered yet may be posted again: the store takes each nonce once.
        """
        verdict, why = verdict_in(decode_events(self.store.history(run_id), {}), nonce)
        if verdict == "refused":
            raise VerbRefused(f"run {run_id} refused the signal with this id before: {why}")
        return verdict != "asked"

    def check_applies(self, run_id: str, verb: str) -> StoredRun:
        """The run; VerbRefused if an engine would surely refuse the verb now."""
        stored = self.stored(run_id)
        refusal = plain_refusal(verb, stored.status, is_terminal=stored.terminal, is_broken=bool(stored.broken))
        run = self.state(stored) if refusal and verb in ("resume", "resolve") else None
        if run is not None and run.header.stuck_children:
            path = run.header.stuck_children[0]
            refusal = f"waits at {path} for run {run.nodes[path].child_stuck}, which is stuck: {verb} that one"
        if refusal:
            raise VerbRefused(f"run {run_id} {refusal}")
        return stored

    def _ask(
        self, run: str, verb: str, make: Callable[..., ev.Request], timeout: float, *, nonce: str = "", by: str = ""
    ) -> Verdict:
        """Post a request and wait for an engine's answer. With a nonce of the caller's it may have been posted before.

        accepted: it is being done. held: it waits until it is known whether the pivot took effect. asked: no engine
        has answered yet; the request stays. Raises VerbRefused with the reason.
        """
        stored = self.check_applies(self.find(run), verb)
        # What was posted before may have been answered at any time, also just now: it would be waited for in vain.
        seen = 0 if nonce else len(self.store.history(stored.run_id))
        nonce = nonce or secrets.token_hex(8)
        body = msgspec.json.encode(make(at_ms=0, nonce=nonce, by=by or caller()))
        answer = self.store.post([Request(stored.run_id, nonce, body, at_once=verb in AT_ONCE)])[0]
        if answer == "gone":
            raise RunNotFound(f"there is no run {stored.run_id!r} any more")
        if answer == "ended":
            raise VerbRefused(f"run {stored.run_id} has ended meanwhile")
        deadline = time.monotonic() + timeout
        pause_s = _FIRST_POLL_S
        while True:
            entries = self.store.history(stored.run_id, start=seen)
            seen += len(entries)
            told = decode_events(entries, {})
            verdict, why = verdict_in(told, nonce)
            if verdict == "refused" and not (stored.broken and verb == "resume"):
                raise VerbRefused(f"run {stored.run_id}: {verb} is refused: {why}")
            if verdict != "asked" or time.monotonic() >= deadline:
                # A run that could not be interpreted was not stuck in its own eyes: to be looked at again was all.
                return "accepted" if verdict == "refused" else verdict
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.5, _LAST_POLL_S)


def _check_answer(start: _Start, answer: StartAnswer) -> None:
    """Raises RunLimited, RecordTampered."""
    if answer.answer == "tampered":
        raise RecordTampered(f"what the store has under the keys of run {start.run.run_id} does not fit; see doctor")
    if answer.answer == "limited" and start.run.slot is not None:
        slot = start.run.slot
        holders, key = ", ".join(answer.holders), slot.name.partition(":")[2]
        raise RunLimited(
            f"{start.definition.workflow} has at most {slot.limit} run{'s'[: slot.limit > 1]} under way at once"
            f"{f' with the key {key!r}' if key else ''}, on_limit says reject, and under way "
            f"{'are' if len(answer.holders) > 1 else 'is'} {holders or 'another'}"
        )
