"""What a transition's faults are: attempts that failed, steps that failed without one, and nothing twice."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from runner.definition.secret_input import NOTHING_SECRET, Redaction
from runner.engine.faults import STOPPED, with_faults
from runner.engine.intake import commit_of
from runner.fingerprint import pattern_of
from runner.interpreter import event as ev
from runner.interpreter.advance import Transition, advance
from runner.interpreter.plan import Plan
from runner.interpreter.state import Run
from runner.store.faults import Fault
from runner.store.limits import check_commit
from runner.store.ports import Commit
from runner.wire import ErrorRecord
from tests.world import TWICE, World, block, parallel, plan_of, step

DECLINED = ErrorRecord("card_declined", kind="business", message="no money on pay_19", step="charge", attempt=1)


def commit(plan: Plan, run: Run, event: ev.External, redaction: Redaction = NOTHING_SECRET) -> tuple[Commit, Run]:
    made: Sequence[Transition] = [advance(plan, run, event)]
    plain = commit_of("run1", "e1", "e2", (), made, lambda worker: worker)
    counted = with_faults(plain, made, lambda _digest: plan, lambda _run: redaction)
    check_commit(counted)
    return counted, made[-1].run


def settled(path: str, error: ErrorRecord | None, outcome: str = "failed") -> ev.TaskSettled:
    return ev.TaskSettled(2_000, path, outcome, error=error)  # type: ignore[arg-type]


def begun(world: World) -> tuple[Plan, Run]:
    assert world.run is not None
    return world.plan, world.run


def only(commit: Commit) -> Fault:
    (fault,) = commit.faults
    return fault


def stopped(commit: Commit) -> set[str]:
    return {name.removeprefix(STOPPED) for name in commit.writes if name.startswith(STOPPED)}


def test_what_went_well_leaves_the_commit_as_it_is():
    plan, run = begun(World(plan_of(step("charge"))).start())
    made, _ = commit(plan, run, settled("charge", None, "completed"))
    assert made.faults == ()
    assert stopped(made) == set()


def test_a_failed_attempt_is_counted_once_and_named_as_what_stopped_the_run():
    plan, run = begun(World(plan_of(step("charge"))).start())
    made, _ = commit(plan, run, settled("charge", DECLINED))
    fault = only(made)
    assert fault.group == pattern_of(DECLINED).group
    assert fault.count == 1
    assert stopped(made) == {fault.group}


def test_a_fault_says_where_it_was():
    plan, run = begun(World(plan_of(step("charge"))).start())
    marks = dict(mark.split("=", 1) for mark in only(commit(plan, run, settled("charge", DECLINED))[0]).marks)
    header = run.header
    assert marks == {
        "workflow": header.workflow, "version": f"{header.workflow} {header.version}", "phase": "action",
        "step": f"{header.workflow}/charge", "worker": plan.steps["charge"].action.worker,  # type: ignore[union-attr]
    }


def test_a_fault_says_what_it_was():
    plan, run = begun(World(plan_of(step("charge"))).start())
    about = msgspec.json.decode(only(commit(plan, run, settled("charge", DECLINED))[0]).about)
    assert about == {
        "code": "card_declined", "kind": "business", "type": "card_declined", "where": "", "by": "message",
        "message": "no money on pay_19", "pattern": "no money on <id>",
    }


def test_an_attempt_that_is_tried_again_is_counted_and_stops_nothing():
    plan, run = begun(World(plan_of(step("charge", retry=TWICE))).start())
    made, _ = commit(plan, run, settled("charge", ErrorRecord("no_effect", message="refused")))
    assert only(made).count == 1
    assert stopped(made) == set()


def test_a_block_that_passes_an_error_on_is_no_further_fault():
    plan, run = begun(World(plan_of(block("pay", step("charge")))).start())
    made, _ = commit(plan, run, settled("charge" if "charge" in run.nodes else "pay/charge", DECLINED))
    assert only(made).count == 1


def test_a_step_whose_input_cannot_be_made_is_a_fault_without_a_phase():
    world = World(plan_of(step("first"), step("charge", with_={"x": "{{ input.absent.member }}"})))
    plan, run = begun(world.start())
    made, _ = commit(plan, run, settled("first", None, "completed"))
    fault = only(made)
    assert msgspec.json.decode(fault.about)["code"] == "expression_error"
    assert not any(mark.startswith("phase=") for mark in fault.marks)
    assert stopped(made) == {fault.group}


def test_a_cancel_is_no_fault():
    plan, run = begun(World(plan_of(step("charge"))).start())
    made, run = commit(plan, run, ev.CancelRequested(2_000, reason="no more"))
    assert made.faults == ()
    assert stopped(made) == set()
    made, _ = commit(plan, run, settled("charge", ErrorRecord("cancelled", message="asked to stop"), "unknown"))
    assert made.faults == ()


def test_a_failed_undo_is_counted_in_its_phase():
    world = World(plan_of(step("charge", undo=True), step("ship")))
    world.start()
    world.answer("charge")
    plan, run = begun(world)
    made, run = commit(plan, run, settled("ship", DECLINED))
    made, run = commit(plan, run, settled("charge", ErrorRecord("exception", message="OSError: gone"), "unknown"))
    assert "phase=compensate" in only(made).marks


def test_two_branches_that_fail_alike_are_two_of_one_fault():
    plan, run = begun(World(plan_of(parallel("both", {"a": [step("one")], "b": [step("two")]}))).start())
    first = advance(plan, run, settled("both.a/one", DECLINED))
    second = advance(plan, first.run, settled("both.b/two", DECLINED))
    plain = commit_of("run1", "e1", "e2", (), [first, second], lambda worker: worker)
    made = with_faults(plain, [first, second], lambda _digest: plan, lambda _run: NOTHING_SECRET)
    assert sum(fault.count for fault in made.faults) == 2
    assert len({fault.group for fault in made.faults}) == 1


def test_secrets_are_neither_kept_nor_part_of_the_pattern():
    schema = {"properties": {"card": {"type": "string", "x-secret": True}}}
    groups = set()
    for card in ("tok_alpha", "tok_omega"):
        world = World(plan_of(step("charge")), input={"card": card}).start()
        error = ErrorRecord("refused", message=f"the card {card} is not known")
        made, _ = commit(*begun(world), settled("charge", error), Redaction(schema, {"card": card}))
        assert card.encode() not in only(made).about
        groups.add(only(made).group)
    assert len(groups) == 1


def test_the_run_that_only_hears_of_a_childs_error_names_it_as_what_stopped_it():
    inner = {"run": "child", "step": "charge", "details": None}
    plan, run = begun(World(plan_of(step("charge"))).start())
    failing = ev.RunFailing(2_000, ErrorRecord("card_declined", "business", "no money on pay_20", inner), "compensated")
    made = [Transition(run, (failing,), ())]
    counted = with_faults(Commit("r", "", "e", 0, b"", ""), made, lambda _digest: plan, lambda _run: NOTHING_SECRET)
    assert counted.faults == ()
    assert stopped(counted) == {pattern_of(DECLINED).group}
