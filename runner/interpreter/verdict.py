"""What became of a request: read from the history, and what can be said before it is even asked. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from runner.interpreter import event as ev

# asked: nobody has answered yet. repeated: a signal that was sent before, under the same id.
Verdict = Literal["accepted", "held", "refused", "asked", "repeated"]
RESOLUTIONS = ("completed", "failed", "compensated", "skipped")


def plain_refusal(verb: str, status: str, *, is_terminal: bool, is_broken: bool) -> str:
    """Why the engine would surely refuse, as the rest of a sentence about the run; "" if that is for it to judge."""
    if verb == "rerun":
        return "" if is_terminal else f"is {status or 'pending'}; only one that is over is run again"
    if is_terminal:
        return f"is {status} already"
    if verb == "cancel" and status == "stuck":
        return "is stuck: resume, resolve or abandon it"
    if verb in ("resume", "resolve") and status != "stuck" and not is_broken:
        return f"is {status or 'pending'}; only a stuck one can be {verb}d"
    return ""


def verdict_in(told: Iterable[ev.AnyEvent], nonce: str) -> tuple[Verdict, str]:
    """The answer to the request with this nonce among these events, and the reason of a refusal.

    A cancel that is held is accepted first, and may be refused in the end: the last word counts.
    """
    verdict: tuple[Verdict, str] = ("asked", "")
    for event in told:
        if isinstance(event, ev.RequestRefused) and event.nonce == nonce:
            verdict = ("refused", event.why)
        elif isinstance(event, ev.RequestHeld) and event.nonce == nonce:
            verdict = ("held", "")
        elif isinstance(event, ev.RequestAccepted) and event.nonce == nonce:
            verdict = ("accepted", "")
    return verdict
