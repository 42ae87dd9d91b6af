"""The two tables: every move that they have is made, every other one raises; and a draft leaves its run alone."""

from __future__ import annotations

from itertools import product

import pytest

from runner.interpreter.state import (
    RUN_TRANSITIONS,
    STEP_TRANSITIONS,
    TERMINAL,
    Header,
    IllegalMove,
    Node,
    Run,
    RunStatus,
    StepStatus,
    move_run,
    move_step,
)

RUN_MOVES = [(here, there) for here, there in product(RunStatus, RunStatus)]
STEP_MOVES = [(here, there) for here, there in product(StepStatus, StepStatus)]


def a_run(status: RunStatus = RunStatus.RUNNING) -> Header:
    return Header("run1", "order", "1.0.0", "digest", status=status)


@pytest.mark.parametrize(("here", "there"), [move for move in RUN_MOVES if move[1] in RUN_TRANSITIONS[move[0]]])
def test_a_run_makes_every_move_of_its_table(here: RunStatus, there: RunStatus) -> None:
    header = a_run(here)
    move_run(header, there)
    assert header.status is there


@pytest.mark.parametrize(("here", "there"), [move for move in RUN_MOVES if move[1] not in RUN_TRANSITIONS[move[0]]])
def test_a_run_makes_no_other_move(here: RunStatus, there: RunStatus) -> None:
    header = a_run(here)
    with pytest.raises(IllegalMove, match=f"run1: {here} → {there}"):
        move_run(header, there)
    assert header.status is here


@pytest.mark.parametrize(("here", "there"), [move for move in STEP_MOVES if move[1] in STEP_TRANSITIONS[move[0]]])
def test_a_step_makes_every_move_of_its_table(here: StepStatus, there: StepStatus) -> None:
    node = Node("reserve", status=here)
    move_step(node, there)
    assert node.status is there


@pytest.mark.parametrize(("here", "there"), [move for move in STEP_MOVES if move[1] not in STEP_TRANSITIONS[move[0]]])
def test_a_step_makes_no_other_move(here: StepStatus, there: StepStatus) -> None:
    node = Node("reserve", status=here)
    with pytest.raises(IllegalMove, match=f"'reserve': {here} → {there}"):
        move_step(node, there)
    assert node.status is here


def test_a_run_that_is_over_never_moves_again() -> None:
    assert {status for status, moves in RUN_TRANSITIONS.items() if not moves} == TERMINAL


def test_every_run_that_is_not_over_can_still_end() -> None:
    for status in set(RunStatus) - TERMINAL:
        assert RUN_TRANSITIONS[status] & TERMINAL


def test_compensated_is_reached_by_going_back_only() -> None:
    before = {status for status, moves in RUN_TRANSITIONS.items() if RunStatus.COMPENSATED in moves}
    assert before == {RunStatus.COMPENSATING}
    undone = {status for status, moves in STEP_TRANSITIONS.items() if StepStatus.COMPENSATED in moves}
    assert undone == {StepStatus.COMPENSATING, StepStatus.COMPENSATION_FAILED}


@pytest.mark.parametrize("status", list(RunStatus))
def test_a_run_is_terminal_in_its_last_four_statuses(status: RunStatus) -> None:
    assert a_run(status).is_terminal == (status in TERMINAL)


@pytest.mark.parametrize(
    ("ending", "skipped", "status"),
    [("", False, "completed"), ("cancelled", False, "cancelled"), ("compensated", True, "abandoned"),
     ("", True, "abandoned")],
)
def test_the_status_to_be(ending: str, skipped: bool, status: str) -> None:
    header = a_run()
    header.ending, header.skipped_undo = ending, skipped
    assert header.status_to_be == status


def test_what_a_draft_changes_is_not_changed_in_the_run() -> None:
    run = Run(a_run(), {"a": Node("a")}, {"a:output": 1})
    draft = run.draft()
    draft.edit("a").rest = True
    draft.add(Node("b"))
    draft.put("a:output", 2)
    draft.header.decided = True
    draft.due("a")
    assert run.nodes == {"a": Node("a")}
    assert run.payloads == {"a:output": 1}
    assert (run.header.decided, list(run.agenda)) == (False, [])


def test_a_draft_knows_what_it_changed() -> None:
    draft = Run(a_run(), {"a": Node("a"), "c": Node("c")}, {"x": 1}).draft()
    draft.edit("a")
    draft.add(Node("b"))
    draft.put("y", 2)
    assert (set(draft.changed), set(draft.dirty)) == ({"a", "b"}, {"y"})


def test_every_version_of_a_run_can_be_read_again_in_any_order() -> None:
    versions = [Run(a_run(), {"a": Node("a")}, {"n": 0})]
    for number in range(1, 5):
        draft = versions[-1].draft()
        draft.edit("a").spent = number
        draft.add(Node(f"b{number}"))
        draft.put("n", number)
        draft.put(f"n{number}", number)
        draft.drop(f"n{number - 1}")
        versions.append(draft)
    for number in (2, 0, 4, 1, 3):
        run = versions[number]
        assert run.nodes["a"].spent == number
        assert set(run.nodes) == {"a", *(f"b{n}" for n in range(1, number + 1))}
        assert run.payloads == ({"n": number, f"n{number}": number} if number else {"n": 0})


def test_two_drafts_of_one_run_know_nothing_of_each_other() -> None:
    run = Run(a_run(), {"a": Node("a")}, {})
    one, two = run.draft(), run.draft()
    one.edit("a").spent = 1
    two.edit("a").spent = 2
    assert [version.nodes["a"].spent for version in (run, one, two)] == [0, 1, 2]


def test_a_draft_that_was_given_up_half_way_leaves_no_trace() -> None:
    run = Run(a_run(), {"a": Node("a")}, {"x": 1})
    draft = run.draft()
    draft.put("x", 2)
    draft.edit("a").rest = True
    del draft
    assert (run.nodes, run.payloads) == ({"a": Node("a")}, {"x": 1})


def test_a_run_has_no_other_attributes() -> None:
    with pytest.raises(AttributeError):
        _ = Run(a_run(), {}, {}).nothing
