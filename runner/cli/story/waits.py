"""What a run waits for, in words: until when, and for which signal, with the command that sends it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from runner.cli.screen import json_text
from runner.cli.wording import duration
from runner.definition.model import SignalAction


def until_text(until_ms: int, now_ms: int) -> str:
    """until 14:05 (in 2 h); with the date where it is not today's. Local time."""
    moment, today = (datetime.fromtimestamp(at_ms / 1_000) for at_ms in (until_ms, now_ms or until_ms))
    pattern = "%H:%M:%S" if 0 < until_ms - now_ms < 120_000 else "%H:%M"
    if moment.date() != today.date() or not now_ms:
        pattern = "%Y-%m-%d %H:%M"
    left = f" (in {duration(max(0, until_ms - now_ms))})" if now_ms else ""
    return f"until {moment.strftime(pattern)}{left}"


def wait_text(signal: SignalAction | None, until_ms: int, now_ms: int) -> str:
    """waits until 14:05 (in 2 h) · waits for signal review until 14:05 (in 2 h)"""
    limit = f" {until_text(until_ms, now_ms)}" if until_ms else ""
    return f"waits{limit}" if signal is None else f"waits for signal {signal.signal}{limit}"


def signal_command(run_id: str, action: SignalAction) -> str:
    """With data that has the form that the schema asks for, as far as that is easily said."""
    if not action.schema:
        return sending(run_id, action.signal, None)
    example = _example(action.schema)
    return f"{_command(run_id, action.signal)} --data …" if example is None else sending(run_id, action.signal, example)


def sending(run_id: str, name: str, data: Any) -> str:
    """The command that sends this."""
    return _command(run_id, name) + ("" if data is None else f" --data {shlex.quote(json_text(data))}")


def _command(run_id: str, name: str) -> str:
    return f"sagarun signal {run_id} {name}"


def _example(schema: Any) -> Any:
    """A value of this form; None: it takes more than a glance to make one."""
    if not isinstance(schema, Mapping):
        return None
    for key in ("examples", "enum"):
        if isinstance(schema.get(key), list) and schema[key]:
            return schema[key][0]
    if schema.get("type") != "object":
        return schema.get("const", schema.get("default", _SAMPLES.get(str(schema.get("type")))))
    known = schema.get("properties", {})
    made = {name: _example(known.get(name)) for name in schema.get("required", ())}
    return None if None in made.values() else made


_SAMPLES = {"boolean": True, "string": "…", "integer": 1, "number": 1}
