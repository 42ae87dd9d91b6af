"""A run to be: what a start stores, made of a definition, an input and a key. The client and schedules share it.

Everything that is rendered for a start is rendered here, from the input alone, before anything is stored.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import secrets
import sys
from typing import Any

import msgspec

from runner.definition.model import Definition
from runner.definition.parse import digest_of
from runner.errors import ExpressionError, InputError, UsageError
from runner.expression.evaluate import compile_template
from runner.interpreter import event as ev
from runner.interpreter.run_id import run_id_of
from runner.store.ports import NewRun, Slot
from runner.trace import Place, parse

MAX_KEY_LENGTH = 256
_inherited = ""


def new_run(
    namespace: str, definition: Definition, value: Any, key: str, *, rerun_of: str = "", by: str = "",
    reason: str = "", slot: Slot | None = None,
) -> NewRun:
    """Not stored yet. `value` is an input that was checked, `key` one that was, or empty."""
    run_id = derived_run_id(namespace, definition.workflow, key) if key else random_run_id()
    about = {
        "workflow": definition.workflow, "version": definition.version, "definition": definition.digest,
        "key": key, "rerun_of": rerun_of, "summary": definition.summary,
    }
    started = ev.RunStarted(
        at_ms=0, run_id=run_id, workflow=definition.workflow, version=definition.version,
        digest=definition.digest, input=value, key=key, rerun_of=rerun_of, by=by, reason=reason,
        traceparent=current_traceparent(),
    )
    return NewRun(
        run_id=run_id, nonce=secrets.token_hex(8), digest=digest_of(value),
        summary=msgspec.json.encode(about), body=msgspec.json.encode(started), slot=slot,
        definitions=(definition.digest, *definition.children),
    )


def current_traceparent() -> str:
    """The span in which this code runs, if the program uses OpenTelemetry; else what `inherit_trace` was told."""
    telemetry = sys.modules.get("opentelemetry.trace")
    if telemetry is None:  # then nobody can have begun a span
        return _inherited
    here = telemetry.get_current_span().get_span_context()
    if not here.is_valid:
        return _inherited
    return Place(f"{here.trace_id:032x}", f"{here.span_id:016x}", here.trace_flags.sampled).traceparent


def inherit_trace(traceparent: str) -> None:
    """What this process starts belongs to this trace: a command was given it by its caller."""
    global _inherited
    _inherited = traceparent if parse(traceparent) is not None else ""


def child_run(started: ev.RunStarted, summary: str, nonce: str) -> NewRun:
    """A run that a step of another one starts. It waits for no slot: it is part of what has begun."""
    about = {
        "workflow": started.workflow, "version": started.version, "definition": started.digest, "key": "",
        "rerun_of": "", "summary": summary, "parent": started.parent, "parent_step": started.parent_path,
    }
    return NewRun(
        run_id=started.run_id, nonce=nonce, digest=digest_of(started.input), summary=msgspec.json.encode(about),
        body=msgspec.json.encode(started),
    )


def key_of(definition: Definition, value: Any) -> str:
    """The idempotency key that the definition makes of this input; "" if it makes none."""
    if definition.idempotency_key is None:
        return ""
    return _rendered("idempotency key", definition.idempotency_key, value)


def slot_of(definition: Definition, value: Any) -> Slot | None:
    """What the run has to have before it may begin, by the definition's `concurrency`."""
    concurrency = definition.concurrency
    if concurrency is None:
        return None
    name = definition.workflow
    if concurrency.key is not None:
        name += ":" + check_key(_rendered("key of concurrency", concurrency.key, value), "the key of concurrency")
    return Slot(name, concurrency.limit, concurrency.on_limit)


def _rendered(what: str, template: str, value: Any) -> str:
    try:
        key = compile_template(template).render({"input": value})
    except ExpressionError as error:
        raise InputError([f"the {what} cannot be made of it: {error}"], wrong="gives no key") from None
    if isinstance(key, bool) or not isinstance(key, str | int) or key == "":
        problem = f"the {what} is {key!r}; text or a whole number is needed"
        raise InputError([problem], wrong="gives no key")
    return str(key)


def check_key(key: str, what: str = "the idempotency key") -> str:
    """The key itself. Raises InputError."""
    if len(key) > MAX_KEY_LENGTH or not key.isprintable():
        problem = f"{what} has to be printable text of at most {MAX_KEY_LENGTH} characters"
        raise InputError([problem], wrong="gives no key")
    return key


def check_signal_id(signal_id: str) -> str:
    """The id as it is given. Raises UsageError."""
    if not 0 < len(signal_id) <= MAX_KEY_LENGTH or not signal_id.isprintable() or "|" in signal_id:
        raise UsageError(f"a signal's id has to be printable text of at most {MAX_KEY_LENGTH} characters without '|'")
    return signal_id


def derived_run_id(namespace: str, workflow: str, key: str) -> str:
    """The same for the same key, for ever: a start repeated after the run expired carries the same operation keys."""
    return run_id_of(hashlib.sha256(f"{namespace}|{workflow}|{key}".encode()).digest())


def random_run_id() -> str:
    return run_id_of(secrets.token_bytes(10))


def caller() -> str:
    """Who asks, for the record: user@host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in some containers
        user = str(os.getuid())
    return f"{user}@{os.uname().nodename}"
