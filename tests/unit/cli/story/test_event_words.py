"""Every event has words of its own, and no value of one is lost."""

from __future__ import annotations

import typing

import pytest

from runner.cli.story import event_words
from runner.cli.story.event_words import style_of, words_of
from runner.interpreter import event as ev
from runner.wire import ErrorRecord


def test_every_event_that_there_is_has_words():
    assert set(event_words._WORDS) == set(typing.get_args(ev.AnyEvent))


@pytest.mark.parametrize(("event", "words"), [
    (ev.RunStarted(1, "r", "order", "1.0.0", "d", key="A", by="me"), ("started", "order 1.0.0 · by me · key A")),
    (ev.TaskDispatched(1, "pay", "compensate", "card.refund", 2, 3, 9),
     ("dispatched", "to card.refund · attempt 2 of 3 · undo")),
    (ev.RetryScheduled(1_000, "pay", "action", "t", 3_500), ("will be retried", "in 2.50 s")),
    (ev.StepFailed(1, "pay", ErrorRecord("declined", message="no\nmoney")), ("failed", "declined: no money")),
    (ev.CancelRequested(1, by="me", reason="too late"), ("cancel asked", "by me · too late")),
    (ev.RunFinished(1, "compensated"), ("finished", "compensated")),
    (ev.SignalKept(1, "go", "i", {"a": 1}), ("signal received", 'go · {"a":1}')),
])
def test_words(event: ev.AnyEvent, words: tuple[str, str]):
    assert words_of(event) == words


def test_an_event_of_a_newer_engine_is_said_by_its_fields():
    class Novelty(ev.Event, frozen=True):
        path: str
        colour: str = "blue"

    assert words_of(Novelty(1, "a", "red")) == ("Novelty", 'colour="red"')  # type: ignore[arg-type]


def test_what_went_wrong_is_not_green():
    assert style_of("failed") == "red"
    assert style_of("completed") == "green"
