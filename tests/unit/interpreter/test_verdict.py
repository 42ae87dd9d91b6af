"""What became of a request."""

from __future__ import annotations

import pytest

from runner.interpreter import event as ev
from runner.interpreter.verdict import plain_refusal, verdict_in

ACCEPTED = ev.RequestAccepted(1, "cancel", "n1")
HELD = ev.RequestHeld(1, "cancel", "n1")
REFUSED = ev.RequestRefused(9, "cancel", "n1", "too late")
OTHERS = ev.RequestRefused(1, "cancel", "n2", "no")


@pytest.mark.parametrize(
    ("told", "verdict"),
    [
        ([], ("asked", "")),
        ([OTHERS], ("asked", "")),
        ([ACCEPTED], ("accepted", "")),
        ([ACCEPTED, HELD], ("held", "")),
        ([ACCEPTED, HELD, OTHERS, REFUSED], ("refused", "too late")),
    ],
)
def test_the_last_word_about_a_request_counts(told: list[ev.AnyEvent], verdict: tuple[str, str]):
    assert verdict_in(told, "n1") == verdict


@pytest.mark.parametrize(
    ("verb", "status", "refusal"),
    [
        ("cancel", "running", ""),
        ("cancel", "", ""),
        ("cancel", "stuck", "is stuck: resume, resolve or abandon it"),
        ("cancel", "completed", "is completed already"),
        ("abandon", "stuck", ""),
        ("resume", "stuck", ""),
        ("resume", "", "is pending; only a stuck one can be resumed"),
        ("resolve", "running", "is running; only a stuck one can be resolved"),
        ("rerun", "compensated", ""),
        ("rerun", "stuck", "is stuck; only one that is over is run again"),
    ],
)
def test_what_would_surely_be_refused_is_said_at_once(verb: str, status: str, refusal: str):
    terminal = status in ("completed", "compensated")
    assert plain_refusal(verb, status, is_terminal=terminal, is_broken=False) == refusal


def test_a_run_that_could_not_be_interpreted_may_be_resumed():
    assert plain_refusal("resume", "running", is_terminal=False, is_broken=True) == ""
