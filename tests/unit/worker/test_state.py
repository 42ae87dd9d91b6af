"""What the supervisor's threads share."""

from __future__ import annotations

import pytest

import runner.worker.state
from runner.worker.state import STRAYS_S, State


def test_every_queue_is_first_in_its_turn():
    state = State(queues=("a", "b", "c"))
    assert [state.rotate_queues()[0] for _ in range(6)] == ["b", "c", "a", "b", "c", "a"]
    assert sorted(state.rotate_queues()) == ["a", "b", "c"]


def test_queues_in_which_nothing_should_be_are_looked_at_now_and_then(monkeypatch: pytest.MonkeyPatch):
    now_s = [100.0]
    monkeypatch.setattr(runner.worker.state, "uptime_s", lambda: now_s[0])
    state = State("p", queues=("a",), strays=("w",))
    assert [state.rotate_queues() for _ in range(3)] == [("a", "w"), ("a",), ("a",)]
    now_s[0] += STRAYS_S
    assert state.rotate_queues() == ("a", "w")


def test_a_process_that_asks_for_tasks_is_not_at_rest():
    state = State()
    assert state.is_at_rest
    state.is_asking = True
    assert not state.is_at_rest


def test_every_process_has_an_id_of_its_own():
    assert State().process_id != State().process_id
