"""What one commit holds: however much has come in and is due, it is never more than the store takes."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from runner.engine.intake import commit_of, interpret
from runner.interpreter import event as ev
from runner.interpreter.plan import Plan
from runner.interpreter.state import Run
from runner.store.limits import check_commit
from runner.store.ports import Commit, InboxEntry
from runner.wire import Outcome
from tests.world import World, each, parallel, plan_of, step

ITEMS = 1_000


def commit(plan: Plan, run: Run, entries: Sequence[InboxEntry]) -> tuple[Run, Commit]:
    transitions = interpret(lambda _digest: plan, run, entries)
    made = commit_of("run1", "e1", "e2", entries, transitions, lambda worker: worker)
    check_commit(made)
    return transitions[-1].run, made


def outcomes(paths: Sequence[str], outcome: str = "completed") -> list[InboxEntry]:
    body = msgspec.json.encode(Outcome(outcome))  # type: ignore[arg-type]
    return [InboxEntry("outcome", 2_000, path, body=body) for path in paths]


def asked(request: ev.Request) -> InboxEntry:
    return InboxEntry("request", 2_000, body=msgspec.json.encode(request))


def wide(*, confirm: bool = False) -> World:
    """A loop with all its tasks out: for each item one that was answered and one that was not."""
    loop = each("lines", step("x"), step("y", confirm=confirm), max_parallel=ITEMS)
    world = World(plan_of(loop), input=[0] * ITEMS).start()
    for path in list(world.tasks):
        world.answer(path)
    return world


def test_a_hundred_outcomes_on_top_of_what_was_left_over_dispatch_no_more_than_a_commit_takes() -> None:
    loop = each("lines", step("x"), step("y"), max_parallel=ITEMS)
    world = World(plan_of(loop), input=[0] * ITEMS, is_slow=True).start()
    assert len(world.tasks) == 100
    assert world.run is not None
    run, made = commit(world.plan, world.run, outcomes(list(world.tasks)))
    assert len(made.dispatches) == 100
    assert made.again
    dispatched = 100
    while run.agenda:
        run, made = commit(world.plan, run, [])
        dispatched += len(made.dispatches)
    assert dispatched == ITEMS


@pytest.mark.parametrize("claimed", [False, True])
def test_a_cancel_of_a_thousand_tasks_fits_into_commits(claimed: bool) -> None:
    world = wide()
    assert world.run is not None
    run, made = commit(world.plan, world.run, [asked(ev.CancelRequested(0, nonce="c"))])
    revoked = dict(made.revokes)
    while run.agenda:
        run, made = commit(world.plan, run, [])
        revoked.update(made.revokes)
    assert len(revoked) == ITEMS
    assert all(revoked.values())
    paths = list(revoked)
    while paths:
        batch, paths = paths[:100], paths[100:]
        entries = outcomes(batch) if claimed else [InboxEntry("revoked", 2_000, path) for path in batch]
        run, made = commit(world.plan, run, entries)
    undone = len(made.dispatches)
    while run.agenda:
        run, made = commit(world.plan, run, [])
        undone += len(made.dispatches)
    assert undone == ITEMS


def test_a_thousand_confirmations_go_out_a_hundred_at_a_time() -> None:
    world = wide(confirm=True)
    paths = list(world.tasks)
    assert world.run is not None
    run, told = world.run, 0
    while paths:
        batch, paths = paths[:100], paths[100:]
        run, made = commit(world.plan, run, outcomes(batch))
        told += len(made.dispatches)
    while run.agenda:
        run, made = commit(world.plan, run, [])
        told += len(made.dispatches)
    assert (told, run.header.confirming) == (ITEMS, ITEMS)


@pytest.mark.parametrize("request_", [ev.CancelRequested(0, nonce="c"), ev.AbandonRequested(0, nonce="c")])
def test_nothing_begins_of_a_run_that_is_called_off_with_its_start(request_: ev.Request) -> None:
    """It left the line of its slot, and has none: not even the hundred tasks that a commit holds may go out."""
    plan = plan_of(each("lines", step("x"), max_parallel=ITEMS))
    started = ev.RunStarted(0, "run1", "test", "1", "digest", input=[0] * ITEMS)
    entries = [InboxEntry("started", 1_000, body=msgspec.json.encode(started)), asked(request_)]
    transitions = interpret(lambda _digest: plan, None, entries)
    made = commit_of("run1", "", "e1", entries, transitions, lambda worker: worker)
    assert (made.terminal, made.dispatches, made.again) == (True, (), False)


def test_a_task_that_is_to_be_drained_and_then_cancelled_in_one_batch_is_revoked_once_and_firmly() -> None:
    both = parallel("both", {"x": [step("x")], "y": [step("y")]})
    world = World(plan_of(both)).start()
    assert world.run is not None
    entries = [*outcomes(["both.x/x"], "failed"), asked(ev.CancelRequested(0, nonce="c"))]
    _, made = commit(world.plan, world.run, entries)
    assert made.revokes == (("both.y/y", True),)


def test_a_draining_task_is_taken_back_without_being_ended() -> None:
    both = parallel("both", {"x": [step("x")], "y": [step("y")]})
    world = World(plan_of(both)).start()
    assert world.run is not None
    _, made = commit(world.plan, world.run, outcomes(["both.x/x"], "failed"))
    assert made.revokes == (("both.y/y", False),)
