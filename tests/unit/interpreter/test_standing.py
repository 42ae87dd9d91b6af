"""What is left is said: the list of effects that stand, for every way in which a run can end."""

from __future__ import annotations

from unittest.mock import patch

from runner.definition.model import Catch
from runner.interpreter import event as ev
from tests.world import World, block, no, plan_of, step, unknown


def standing(world: World) -> list[tuple[str, str]]:
    return [(each.step, each.reason) for each in world.header.standing]


def test_a_completed_run_that_rolled_nothing_back_lists_nothing() -> None:
    world = World(plan_of(step("mail", undo=False), step("p", kind="pivot"), step("r", kind="retriable"))).finish()
    assert standing(world) == []


def test_a_completed_run_says_what_a_rollback_in_it_could_not_undo() -> None:
    """The scope counts as undone, and its mail was sent all the same."""
    scope = block("s", step("mail", undo=False), step("x"), step("y"), catch=[Catch(steps=(step("h"),))])
    world = World(plan_of(scope), {"do.y": [no()]}).finish()
    assert world.status == "completed"
    assert standing(world) == [("s/mail", "a test")]


def test_a_completed_run_does_not_list_what_a_handler_kept() -> None:
    scope = block("s", step("mail", undo=False), step("x"), step("y"), catch=[Catch(undo=False)])
    assert standing(World(plan_of(scope), {"do.y": [no()]}).finish()) == []


def test_a_retriable_step_in_a_scope_that_was_rolled_back_after_the_pivot_is_listed() -> None:
    scope = block("s", step("r", kind="retriable"), step("y"), catch=[Catch()])
    world = World(plan_of(step("p", kind="pivot"), scope), {"do.y": [no()]}).finish()
    assert standing(world) == [("s/r", "took effect and was not undone")]


def test_a_compensated_run_lists_steps_of_scopes_that_were_rolled_back_before() -> None:
    scope = block("s", step("mail", undo=False), step("y"), catch=[Catch()])
    world = World(plan_of(scope, step("z")), {"do.y": [no()], "do.z": [no()]}).finish()
    assert world.status == "compensated"
    assert standing(world) == [("s/mail", "a test")]


def test_a_cancelled_run_lists_what_has_no_undo() -> None:
    world = World(plan_of(step("mail", undo=False), step("x"))).start()
    world.answer("mail")
    world.take(ev.CancelRequested(world.now_ms, nonce="n"))
    world.finish()
    assert world.status == "cancelled"
    assert standing(world) == [("mail", "a test")]


def test_a_step_without_an_undo_that_a_person_called_failed_does_not_stand() -> None:
    world = World(plan_of(step("mail", undo=False)), {"do.mail": [unknown()]}).finish()
    world.take(ev.ResolveRequested(world.now_ms, nonce="n", step="mail", as_="failed"))
    assert world.status == "compensated"
    assert standing(world) == []


def test_an_abandoned_run_lists_what_may_have_happened() -> None:
    world = World(plan_of(step("a"), step("mail", undo=False)), {"do.mail": [unknown()]}).finish()
    world.take(ev.AbandonRequested(world.now_ms, nonce="n"))
    assert standing(world) == [("a", "took effect and was not undone"), ("mail", "may have taken effect")]


def test_an_abandoned_run_lists_what_completed_though_a_full_commit_left_it_for_the_next() -> None:
    world = World(plan_of(step("a")), is_slow=True).start()
    with patch("runner.interpreter.advance.MAX_EVENTS", 0):
        world.answer("a")
    assert world.step_status("a") == "running"
    world.take(ev.AbandonRequested(world.now_ms, nonce="n"))
    assert standing(world) == [("a", "took effect and was not undone")]


def test_an_abandoned_undo_is_listed_as_not_finished() -> None:
    world = World(plan_of(step("a"), step("b")), {"do.b": [no()]}).start()
    world.answer("a")
    world.answer("b")
    world.take(ev.AbandonRequested(world.now_ms, nonce="n"))
    assert standing(world) == [("a", "its undo was not finished")]


def test_an_abandoned_run_does_not_list_a_step_that_a_person_skipped_after_it_had_failed_for_certain() -> None:
    world = World(plan_of(step("p", kind="pivot"), step("r", kind="retriable"), step("s", kind="retriable")), {
        "do.r": [no()], "do.s": [no()],
    }).finish()
    world.take(ev.ResolveRequested(world.now_ms, nonce="n", step="r", as_="skipped"))
    world.finish()
    world.take(ev.AbandonRequested(world.now_ms, nonce="m"))
    assert standing(world) == [("p", "took effect and was not undone")]


def test_a_step_that_a_person_skipped_while_nobody_knew_is_listed_though_the_run_completes() -> None:
    world = World(plan_of(step("p", kind="pivot"), step("r", kind="retriable", on_unknown="halt")), {
        "do.r": [unknown()],
    }).finish()
    world.take(ev.ResolveRequested(world.now_ms, nonce="n", step="r", as_="skipped"))
    world.finish()
    assert world.status == "completed"
    assert standing(world) == [("r", "may have taken effect")]


def test_a_pivot_whose_output_is_broken_is_listed_as_having_taken_effect() -> None:
    world = World(plan_of(step("p", kind="pivot", output="{{ result.nothing }}"))).finish()
    world.take(ev.AbandonRequested(world.now_ms, nonce="n"))
    assert standing(world) == [("p", "took effect and was not undone")]


def test_steps_of_finally_are_no_effects_of_the_run() -> None:
    world = World(plan_of(step("a"), finally_=[step("f", kind="retriable")]), {"do.a": [no()]}).finish()
    assert world.status == "compensated"
    assert standing(world) == []
