"""A history folded into the run that it tells of, event by event; and what of that differs from what was stored.

Pure. `evolve` alone is asked, so nothing is decided again: a definition's expressions are not even evaluated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from runner.interpreter import event as ev
from runner.interpreter.evolve import evolve, new_run
from runner.interpreter.plan import Plan
from runner.interpreter.state import Run

_NOT_TOLD = frozenset({"agenda", "spins", "updated_at_ms"})  # of a header: what `advance` does beside its events
MAX_TOLD = 20


def replay(plan: Plan, events: Iterable[ev.AnyEvent]) -> Iterator[tuple[ev.AnyEvent, Run]]:
    """Each event with the run as it is after it. Raises ValueError for a history without its beginning."""
    run: Run | None = None
    for event in events:
        if isinstance(event, ev.RunStarted):
            run = new_run(event)
        elif run is None:
            raise ValueError(f"the history begins with {type(event).__name__}, not with the run's start")
        else:
            run = run.draft()
        run.header.updated_at_ms = event.at_ms
        evolve(plan, run, event)
        yield event, run


def differences(replayed: Run, stored: Run) -> list[str]:
    """Where the two are not the same, one line each; at most MAX_TOLD."""
    found = [f"the run's {line}" for line in _unlike(replayed.header, stored.header, _NOT_TOLD)]
    for path in sorted(replayed.nodes.keys() | stored.nodes.keys()):
        mine, theirs = replayed.nodes.get(path), stored.nodes.get(path)
        if mine is None or theirs is None:
            found.append(f"{path or 'the root'} is {'only in the history' if theirs is None else 'not in the history'}")
        else:
            found += [f"{path or 'the root'}: {line}" for line in _unlike(mine, theirs)]
    return found[:MAX_TOLD]


def _unlike(mine: msgspec.Struct, theirs: msgspec.Struct, but: frozenset[str] = frozenset()) -> Iterator[str]:
    for name in mine.__struct_fields__:
        replayed, stored = getattr(mine, name), getattr(theirs, name)
        if name not in but and replayed != stored:
            yield f"{name} is {replayed!r} by the history, and {stored!r} as stored"
