"""A run that cannot be interpreted any more and that somebody abandons: as much of it as can be, and its end.

Rule: only what a person asked for is done here. Nothing is concluded from what broke; it is said that it was not read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from msgspec.structs import replace

from runner.engine.intake import interpret
from runner.errors import StoreUnavailable
from runner.interpreter import event as ev
from runner.interpreter.advance import Transition
from runner.interpreter.command import StartChild
from runner.interpreter.plan import Plan
from runner.interpreter.record import decode_request
from runner.interpreter.state import Run
from runner.store.ports import InboxEntry


def interpret_or_abandon(
    plan_of: Callable[[str], Plan], run: Run | None, entries: Sequence[InboxEntry],
    prepare: Callable[[StartChild], StartChild | ev.ChildTold],
) -> list[Transition]:
    """As `interpret`; where that breaks, and the entries have an abandon, what comes of those before it breaks, and
    the end. Raises what broke otherwise."""
    try:
        return interpret(plan_of, run, entries, prepare)
    except StoreUnavailable:
        raise
    except Exception as error:
        made = _abandoned(plan_of, run, entries, prepare, error) if run is not None else []
        if not made:
            raise
        return made


def _abandoned(
    plan_of: Callable[[str], Plan], run: Run, entries: Sequence[InboxEntry],
    prepare: Callable[[StartChild], StartChild | ev.ChildTold], error: Exception,
) -> list[Transition]:
    position = next((number for number, entry in enumerate(entries) if _is_abandon(entry)), -1)
    if position < 0:
        return []
    others = [*entries[:position], *entries[position + 1 :]]

    def ended_after(count: int) -> list[Transition]:
        """None of it if that breaks too."""
        left = len(others) - count
        try:
            last = _with_note(entries[position], f"{left} entries of the inbox were not read: {type(error).__name__}")
            return interpret(plan_of, run, [*others[:count], last], prepare)
        except StoreUnavailable:
            raise
        except Exception:
            return []

    good, bad = 0, len(others) + 1  # of how many it is known that they can be read, and that they can't
    made = ended_after(0)
    while made and bad - good > 1:
        middle = (good + bad) // 2
        longer = ended_after(middle)
        good, bad = (middle, bad) if longer else (good, middle)
        made = longer or made
    return made if made and made[-1].run.is_terminal else []


def _is_abandon(entry: InboxEntry) -> bool:
    try:
        return entry.kind == "request" and isinstance(decode_request(entry.body, entry.at_ms), ev.AbandonRequested)
    except msgspec.DecodeError:
        return False


def _with_note(entry: InboxEntry, note: str) -> InboxEntry:
    asked = decode_request(entry.body, entry.at_ms)
    if not isinstance(asked, ev.AbandonRequested):
        return entry
    return replace(entry, body=msgspec.json.encode(replace(asked, reason=f"{asked.reason} ({note})".strip())))
