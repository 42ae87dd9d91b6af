"""A run as it is stored: there and back without loss, one field a thing, and a history without payloads."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest

from runner.definition.model import Catch, LoopAction, Step
from runner.interpreter import event as ev
from runner.interpreter.record import (
    ENTRY_BYTES,
    changes_of,
    decode_events,
    decode_request,
    decode_told,
    encode_events,
    run_of,
    state_of,
)
from runner.interpreter.state import Standing
from runner.wire import ErrorRecord
from tests.world import World, block, no, ok, plan_of, step, unknown

ERROR = ErrorRecord("declined", kind="business", message="no", details={"why": [1, None]}, step="pay", attempt=2)
EVENTS: list[Any] = [
    ev.RunStarted(1, "run1", "order", "1.0.0", "d", {"id": 1}, key="k", rerun_of="run0", by="me"),
    ev.TaskSettled(2, "pay", "completed", output=None, verdict="landed", fenced=True, hint_ms=3, claimed_at_ms=1,
                   process="p", size=9, duration_ms=1.5),
    ev.TaskSettled(2, "pay", "failed", error=ERROR),
    ev.TimerFired(3, "pay@1"),
    ev.Continued(4),
    ev.CancelRequested(5, nonce="n", by="me", reason="why"),
    ev.AbandonRequested(5, nonce="n"),
    ev.ResumeRequested(5, nonce="n"),
    ev.ResolveRequested(5, nonce="n", step="pay", as_="completed", output={"id": 1}),
    ev.SignalSent(5, nonce="n", by="me", name="go", signal_id="s1", data={"ok": True}),
    ev.ChildTold(5, "pay", "run2", "ended", "compensated", None, ERROR, (Standing("a", "why"),), "run3", 7),
    ev.ParentTold(5, nonce="n", by="run run0", reason="why", verb="undo", kill=True, error=ERROR, ending="cancelled"),
    ev.ChildStarted(6, "pay", "run2", "payment", "1.0.0", {"in": 1}, {"undo": 2}),
    ev.ChildAsked(6, "pay", "cancel", True),
    ev.NewsSent(6, "stuck", "run3", ERROR),
    ev.StepStarted(6, "pay", gated=True),
    ev.ItemsListed(6, "lines", [1, {"a": 2}]),
    ev.StepSkipped(6, "pay", resolved=True),
    ev.TaskDispatched(7, "pay", "action", "do.pay", 1, 3, 1_000, 5, True, True, {"in": 1}, {"undo": 2}, True),
    ev.TaskDispatched(7, "pay", "compensate", "undo.pay", 1, 3, 1_000, input={"undo": 2}, fresh=True),
    ev.TaskDispatched(7, "pay", "confirm", "tell.pay", 1, 3, 1_000, input={"told": 3}, fresh=True),
    ev.TaskDispatched(7, "pay", "verify", "look.pay", 2, 3, 1_000),
    ev.RevokeAsked(8, "pay", True),
    ev.OutcomeIgnored(8, "pay", "failed", ERROR, "p"),
    ev.WaitStarted(8, "pause", "pause@1", 9),
    ev.SignalKept(8, "go", "s1", {"ok": True}, 11),
    ev.SignalTaken(8, "hear", "go", "s1"),
    ev.RetryScheduled(8, "pay", "action", "pay@2", 9, True),
    ev.TimerDropped(9, "pay", "pay@2"),
    ev.StepCompleted(10, "pay", {"out": 1}, True, None, ERROR, True),
    ev.StepFailed(10, "pay", ERROR, True, 1, True, True),
    ev.StepCaught(10, "pay", True, {"out": 1}, True, "completed"),
    ev.StepHalted(10, "pay"),
    ev.StepStuck(10, "pay", ERROR, True),
    ev.StepResumed(10, "pay"),
    ev.FaultRecorded(10, "~finally/f"),
    ev.VarsSet(10, "v", {"n": 1}, {"n": {"value": None}}),
    ev.HaltAsked(10, "pay", True),
    ev.ChildrenHalted(10, "lines", True),
    ev.UndoStarted(10, "pay"),
    ev.StepUndone(10, "pay", True, True, True),
    ev.StepConfirmed(10, "pay", "skipped"),
    ev.RunFailing(11, ERROR, "cancelled"),
    ev.RootResolved(11),
    ev.RunProvisional(11, {"whole": 1}),
    ev.RunDecided(11, {"whole": 1}),
    ev.RunStuck(11),
    ev.RunFinished(12, "abandoned", (Standing("pay", "why"),)),
    ev.AlertRaised(12, "late", True),
    ev.RequestHeld(12, "cancel", "n", "why"),
    ev.RequestAccepted(12, "cancel", "n", "me", "why"),
    ev.RequestRefused(12, "cancel", "n", "too late"),
]
PAYLOADS = {
    "~input": {"id": 1}, "~output": {"whole": 1}, "pay:action": {"in": 1}, "pay:undo": {"undo": 2},
    "pay:confirm": {"told": 3}, "pay:output": {"out": 1}, "lines:items": [1, {"a": 2}],
}


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_of_the_history_is_read_as_it_was_written(event: ev.AnyEvent) -> None:
    assert decode_events(encode_events([event]), PAYLOADS) == [event]


def test_every_kind_of_event_is_tried_above() -> None:
    assert {type(event) for event in EVENTS} == set(get_args(ev.AnyEvent))


@pytest.mark.parametrize("event", [event for event in EVENTS if type(event).__name__ in (
    "RunStarted", "ItemsListed", "TaskDispatched", "StepCompleted", "StepCaught", "RunDecided",
)], ids=lambda event: type(event).__name__)
def test_the_history_holds_no_payload_that_has_a_field_of_its_own(event: ev.AnyEvent) -> None:
    (entry,) = encode_events([event])
    assert not any(msgspec.json.encode(payload) in entry for payload in PAYLOADS.values())


def test_a_history_whose_payloads_are_gone_can_still_be_read() -> None:
    told = decode_events(encode_events(EVENTS), {})
    assert [type(event) for event in told] == [type(event) for event in EVENTS]


def test_the_events_of_a_commit_are_one_entry_unless_they_are_large() -> None:
    assert (len(encode_events([])), len(encode_events(EVENTS))) == (0, 1)
    error = ErrorRecord("exception", message="x" * 16_000)
    many: list[ev.AnyEvent] = [ev.TaskSettled(at_ms, "a", "unknown", error=error) for at_ms in range(201)]
    entries = encode_events(many)
    assert max(map(len, entries)) <= ENTRY_BYTES
    assert len(entries) < 40
    assert decode_events(entries, {}) == many


def test_an_event_that_is_larger_than_an_entry_should_be_has_one_of_its_own() -> None:
    large = ev.TaskSettled(0, "a", "unknown", error=ErrorRecord("exception", message="x" * ENTRY_BYTES))
    assert [len(decode_events([entry], {})) for entry in encode_events([large, large])] == [1, 1]


def test_a_run_is_loaded_as_it_was_stored() -> None:
    loop = Step("loop", "loop", LoopAction("{{ input }}", "item", (step("x"),)))
    plan = plan_of(loop, block("s", step("y"), step("z"), catch=[Catch(steps=(step("h"),))]))
    world = World(plan, {"do.z": [no()], "undo.y": [unknown(), ok()]}, input=[1, None, {"a": []}]).start()
    while world.tasks or world.timers:
        before = world.run
        world.reload()
        assert before is not None
        assert world.run is not None
        assert (world.run.header, world.run.nodes) == (before.header, before.nodes)
        if world.tasks:
            world.answer(min(world.tasks))
        else:
            world.fire()
    assert world.calls == ["do.x"] * 3 + ["do.y", "do.z", "undo.y", "undo.y", "do.h"]
    assert world.status == "completed"


def test_a_commit_writes_what_changed_and_no_more() -> None:
    world = World(plan_of(step("a"), step("b"), step("c"))).start()
    world.answer("a")
    world.answer("b")
    assert world.run is not None
    assert set(changes_of(world.run)) == {"n:b", "n:c", "p:b:output", "p:c:action", "p:c:undo"}


def test_an_output_that_the_store_took_in_is_not_written_again() -> None:
    world = World(plan_of(step("a"), step("b"), step("c", output="{{ result.did }}"))).start()
    for path in ("a", "b", "c"):
        world.tasks.pop(path)
        written = set(world.fields)
        world.take(ev.TaskSettled(world.now_ms, path, "completed", {"did": path}, kept=True))
        assert (f"p:{path}:output" in set(world.fields) - written) is (path == "c")
        world.fields[f"p:{path}:action>"] = msgspec.json.encode({"did": path})
        world.fields[f"p:{path}:undo>"] = b"0"
        world.reload()
    assert world.run is not None
    assert [world.run.payloads[f"{path}:output"] for path in "abc"] == [{"did": "a"}, {"did": "b"}, "c"]
    assert not any(">" in name or name.startswith("a:undo:") for name in world.run.payloads)


def test_a_result_that_the_store_took_in_is_there_after_a_load() -> None:
    world = World(plan_of(step("a", output="{{ result.nothing }}"))).start()
    world.tasks.pop("a")
    world.take(ev.TaskSettled(world.now_ms, "a", "completed", {"did": "a"}, kept=True))
    world.fields["p:a:action>"] = msgspec.json.encode({"did": "a"})
    world.reload()
    assert world.run is not None
    assert world.run.payloads["a:result"] == {"did": "a"}
    assert "a:output" not in world.run.payloads


def test_what_was_put_later_is_written_whatever_the_store_took_in_before() -> None:
    world = World(plan_of(step("a"))).start()
    assert world.run is not None
    taken = world.run.draft()
    taken.put("a:result", 1, kept=True)
    assert changes_of(taken) == {}
    taken.put("a:result", 2)
    assert changes_of(taken) == {"p:a:result": b"2"}
    again = taken.draft()
    again.put("a:result", 3, kept=True)
    assert changes_of(again) == {"p:a:result": b"3"}, "what is written already would hide what the store took in"


def test_only_actions_give_results_that_need_not_be_written() -> None:
    world = World(plan_of(step("a", verify=True))).start()
    world.tasks.pop("a")
    world.take(ev.TaskSettled(world.now_ms, "a", "unknown", error=ErrorRecord("timeout")))
    world.tasks.pop("a")
    world.take(ev.TaskSettled(world.now_ms, "a", "completed", {"did": "a"}, verdict="landed", kept=True))
    assert world.fields["p:a:output"] == b'{"did":"a"}'


def test_nodes_are_read_in_the_order_in_which_they_began() -> None:
    world = World(plan_of(step("c"), step("a"), step("b"))).finish()
    assert world.run is not None
    shuffled = dict(sorted(world.fields.items(), reverse=True))
    assert list(run_of(state_of(world.run), shuffled).nodes) == ["", "c", "a", "b"]


def test_a_request_gets_the_time_at_which_the_store_took_it() -> None:
    asked = ev.CancelRequested(0, nonce="n", by="me", reason="why")
    assert decode_request(msgspec.json.encode(asked), 77) == ev.CancelRequested(77, nonce="n", by="me", reason="why")


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"{}", b"null", b'{"type":"Nothing","at_ms":0}', b'{"type":"CancelRequested"}',
        b'{"type":"CancelRequested","at_ms":"soon"}',
        msgspec.json.encode(ev.TaskSettled(0, "pay", "completed")), msgspec.json.encode(ev.RunFinished(0, "completed")),
        msgspec.json.encode(ev.ChildTold(0, "pay", "run2", "completed")), msgspec.json.encode(ev.ParentTold(0)),
    ],
)
def test_nothing_but_a_request_can_be_posted(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_request(body, 1)


def test_what_a_run_was_told_gets_the_time_and_the_size_of_its_entry() -> None:
    body = msgspec.json.encode(ev.ChildTold(0, "pay", "run2", "completed", output={"a": 1}))
    assert decode_told(body, 77) == ev.ChildTold(77, "pay", "run2", "completed", output={"a": 1}, size=len(body))
    asked = ev.ParentTold(0, verb="undo", error=ERROR)
    assert decode_told(msgspec.json.encode(asked), 77) == msgspec.structs.replace(asked, at_ms=77)


@pytest.mark.parametrize("event", [ev.CancelRequested(0), ev.RunFinished(0, "completed"), ev.TimerFired(0, "t")])
def test_runs_tell_each_other_nothing_else(event: ev.AnyEvent) -> None:
    with pytest.raises(msgspec.ValidationError, match="nothing that runs tell each other"):
        decode_told(msgspec.json.encode(event), 1)
