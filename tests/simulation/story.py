"""A schedule told in lines that a person can follow: who called what, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from runner.interpreter.record import decode_events
from tests.simulation.server import Entry

DULL = frozenset({"now_ms", "beat", "put_workers", "put_definition"})


def tell(trace: list[Entry | str], *, last: int = 150) -> list[str]:
    """Calls that did nothing are left out."""
    lines = [line for entry in trace for line in ([entry] if isinstance(entry, str) else _told(entry))]
    left_out = [f"… {len(lines) - last} lines before"] if len(lines) > last else []
    return left_out + lines[-last:]


def _told(entry: Entry) -> Iterator[str]:
    describe = _VERBS.get(entry.verb)
    if entry.verb in DULL:
        return
    if isinstance(entry.answer, Exception):
        what = f"{entry.verb}: {entry.answer}"
    else:
        what = describe(entry) if describe is not None else f"{entry.verb}{entry.args} → {entry.answer}"
    if what:
        yield f"{entry.at_ms / 1000:9.3f} s  {entry.who:<12} {what}"
    if entry.verb == "commit" and not isinstance(entry.answer, Exception):
        for commit in entry.args[0]:
            for event in decode_events(commit.history, {}):
                yield f"{'':>26}| {_event(event)}"


def _event(event: Any) -> str:
    parts = [type(event).__name__]
    for name in ("path", "phase", "attempt", "outcome", "verdict", "news", "status", "name", "why", "verb", "nonce"):
        value = getattr(event, name, None)
        if value not in (None, "", 0):
            parts.append(f"{name}={value}")
    error = getattr(event, "error", None)
    return " ".join([*parts, error.code] if error is not None else parts)


def _start(entry: Entry) -> str:
    pairs = zip(entry.args[0], entry.answer, strict=True)
    return ", ".join(f"starts {new.run_id}: {answer.answer}" for new, answer in pairs)


def _take(entry: Entry) -> str:
    taken = [f"{run.run_id}[{' '.join(f'{each.kind}:{each.path}' for each in run.entries)}]" for run in entry.answer]
    return f"takes {', '.join(taken)}" if taken else ""


def _commit(entry: Entry) -> str:
    said = []
    for commit, answer in zip(entry.args[0], entry.answer, strict=True):
        sent = " ".join(dispatch.path for dispatch in commit.dispatches)
        said.append(
            f"{commit.run_id} {commit.etag_read or '-'}→{commit.etag} ({commit.entries_seen} seen) {commit.status}"
            + f", asks for {sent}" * bool(sent) + f", revokes {commit.revokes}" * bool(commit.revokes) + f": {answer}"
        )
    return "commits " + "; ".join(said)


def _exchange(entry: Entry) -> str:
    done = entry.options.get("completions", ())
    if not entry.answer.alive:
        return "exchanges: taken for dead"
    told = [f"{each.path} {'lost' if each.lost else ''}{what}"
            for each, what in zip(done, entry.answer.completions, strict=True)]
    claimed = [f"{task.run_id}/{task.path}" for task in entry.answer.claimed]
    parts = [f"hands in {', '.join(told)}"] * bool(told) + [f"claims {', '.join(claimed)}"] * bool(claimed)
    return f"({entry.args[1]}) " + " and ".join(parts) if parts else ""


def _tick(entry: Entry) -> str:
    ticked = entry.answer
    found = {"timers": ticked.timers, "lost": ticked.lost, "queue timeouts": ticked.queue_timeouts,
             "requeued": ticked.requeued, "rearmed": ticked.rearmed}
    said = [f"{count} {what}" for what, count in found.items() if count]
    return "tick: " + ", ".join(said) + " (grace)" * ticked.grace if said else ""


_VERBS = {
    "start": _start, "take_runs": _take, "commit": _commit, "exchange": _exchange, "tick": _tick,
    "register": lambda entry: f"registers {entry.args[0].id}",
    "post": lambda entry: f"asks {entry.args[0][0].run_id}: {entry.args[0][0].body.decode()[:90]} → {entry.answer}",
}
