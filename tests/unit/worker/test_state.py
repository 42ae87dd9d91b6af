"""What the supervisor's threads share."""

from __future__ import annotations

from runner.worker.state import State


def test_every_queue_is_first_in_its_turn():
    state = State(queues=("a", "b", "c"))
    assert [state.rotate_queues()[0] for _ in range(6)] == ["b", "c", "a", "b", "c", "a"]
    assert sorted(state.rotate_queues()) == ["a", "b", "c"]


def test_a_process_that_asks_for_tasks_is_not_at_rest():
    state = State()
    assert state.is_at_rest
    state.is_asking = True
    assert not state.is_at_rest


def test_every_process_has_an_id_of_its_own():
    assert State().process_id != State().process_id
