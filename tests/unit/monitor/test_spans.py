"""A run that is over as spans: one trace, true times, and what undoes linked to what it undoes."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from runner.interpreter import event as ev
from runner.interpreter.record import decode_events
from runner.monitor.spans import Span, spans_of
from runner.starting import inherit_trace
from runner.trace import parse, run_span
from runner.wire import TaskMessage
from tests.desk import Desk, desk_of_a_parent

STARTER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def spans(desk: Desk, run_id: str) -> list[Span]:
    return spans_of(decode_events(desk.store.history(run_id), {}), {"card.charge": "money"})


def test_the_root_lasts_as_long_as_the_run(desk: Desk):
    run_id = desk.run(fail="flaky")
    root, *below = spans(desk, run_id)
    events = desk.client.store.history(run_id)
    told = decode_events(events, {})
    assert (root.name, root.kind, root.parent) == ("run order", "internal", None)
    assert (root.start_ms, root.end_ms) == (told[0].at_ms, told[-1].at_ms)
    assert root.end_ms - root.start_ms >= 1_000, "the pause before the second attempt"
    assert {span.place.trace_id for span in below} == {root.place.trace_id}
    assert len({span.place.span_id for span in (root, *below)}) == len(below) + 1


def test_each_attempt_is_sent_and_processed_through_its_queue(desk: Desk):
    every = spans(desk, desk.run(fail="flaky"))
    found = [span for span in every if span.attributes.get("sagarun.step.path") == "charge"]
    assert [(span.name, span.kind) for span in found] == [("send money", "producer"), ("process money", "consumer")] * 2
    assert [span.parent for span in found[1::2]] == [span.place for span in found[0::2]]
    assert [span.error for span in found] == ["", "exception: RuntimeError: the line went dead", "", ""]
    about = found[1].attributes
    assert about["error.type"] == "exception"
    assert (about["messaging.system"], about["messaging.destination.name"]) == ("redis", "money")
    assert (about["sagarun.attempt"], about["sagarun.phase"]) == (1, "action")
    assert about["sagarun.outcome"] == "ended unknown"


def test_a_task_carries_the_span_that_is_exported_for_it(desk: Desk):
    handle = desk.start()
    desk.take_up()
    (stored,) = desk.store.load_runs([handle.id])
    assert stored is not None
    (claimed,) = desk.store.exchange(desk._worker.process_id, "look", queues=["stock.reserve"], capacity=1).claimed
    carried = parse(msgspec.json.decode(claimed.message, type=TaskMessage).traceparent)
    desk.clock.advance(60_000)
    desk.client.cancel(handle.id, timeout=0)
    for _ in range(5):
        desk.wait(60_000)
    assert carried in {span.place for span in spans(desk, handle.id)}


def test_an_undo_is_linked_to_what_it_undoes(desk: Desk):
    found = spans(desk, desk.run(fail="declined"))
    (acted,) = (span for span in found if span.name == "process stock.reserve")
    (undone,) = (span for span in found if span.name == "process stock.release")
    assert undone.links == (acted.place,)
    assert acted.links == ()
    root = found[0]
    assert (root.error, root.attributes["sagarun.run.status"]) == ("declined: insufficient funds", "compensated")
    assert [name for name, *_ in root.events] == ["run turns back"]


def test_a_child_is_part_of_its_parents_trace(tmp_path: Path):
    desk = desk_of_a_parent(tmp_path)
    parent = desk.run()
    (child,) = (row.run_id for row in desk.store.list_runs() if row.run_id != parent)
    above, below = spans(desk, parent)[0], spans(desk, child)[0]
    assert below.parent == above.place
    assert below.place.trace_id == above.place.trace_id


def test_a_run_that_was_started_in_a_trace_continues_it(desk: Desk):
    inherit_trace(STARTER)
    try:
        run_id = desk.run()
    finally:
        inherit_trace("")
    root = spans(desk, run_id)[0]
    assert root.parent == parse(STARTER)
    assert root.place == run_span(run_id, STARTER)


def test_a_run_of_a_starter_that_is_not_sampled_is_not_traced(desk: Desk):
    inherit_trace(f"{STARTER[:-2]}00")
    try:
        assert spans(desk, desk.run()) == []
    finally:
        inherit_trace("")


def test_what_is_no_traceparent_is_not_inherited(desk: Desk):
    inherit_trace("nonsense")
    started = decode_events(desk.store.history(desk.run()), {})[0]
    assert isinstance(started, ev.RunStarted)
    assert started.traceparent == ""


def test_a_run_that_goes_on_has_no_spans_yet(desk: Desk):
    handle = desk.start()
    desk.take_up()
    assert spans(desk, handle.id) == []
