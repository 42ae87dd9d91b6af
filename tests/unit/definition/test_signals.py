"""The signals that a definition takes."""

from __future__ import annotations

from typing import Any

import pytest

from runner.definition.model import (
    BlockAction,
    Catch,
    Definition,
    LoopAction,
    ParallelAction,
    RepeatAction,
    SetAction,
    SignalAction,
    Step,
    SwitchAction,
    SwitchCase,
)
from runner.definition.signals import all_steps, prepare_signal, signal_names, signal_waits, unknown_signal
from runner.errors import SignalMisfit

APPROVAL = {
    "type": "object",
    "required": ["approved"],
    "properties": {"approved": {"type": "boolean"}, "note": {"type": "string", "default": ""}},
}


def waiting(id: str, signal: str = "", schema: dict[str, Any] | None = None) -> Step:
    return Step(id, id, SignalAction(signal or id, schema))


def definition(*steps: Step, finally_: tuple[Step, ...] = ()) -> Definition:
    return Definition("order", "1.0.0", steps, finally_)


EVERYWHERE = definition(
    Step("block", "block", BlockAction((waiting("a"),))),
    Step("side", "side", ParallelAction({"left": (waiting("b"),), "right": (waiting("c"),)})),
    Step("loop", "loop", LoopAction("{{ input.x }}", "x", (waiting("d"),))),
    Step("again", "again", RepeatAction((waiting("e"),), "{{ true }}", 3)),
    Step("ways", "ways", SwitchAction((SwitchCase("{{ true }}", (waiting("f"),)), SwitchCase(None, (waiting("g"),))))),
    Step("careful", "careful", SetAction({}), catch=(Catch(steps=(waiting("h"),)),)),
    finally_=(waiting("i"),),
)


def test_every_step_is_found_whatever_it_is_in():
    assert signal_names(EVERYWHERE) == list("abcdefghi")
    assert len(list(all_steps(EVERYWHERE))) == 15


def test_the_steps_that_wait_for_one_name_are_found_together():
    both = definition(waiting("first", "review"), waiting("pay"), waiting("second", "review"))
    assert [step.id for step, _ in signal_waits(both, "review")] == ["first", "second"]
    assert signal_names(both) == ["review", "pay"]


def test_data_that_fits_has_its_defaults_filled_in_and_is_a_copy():
    given = {"approved": True}
    assert prepare_signal(definition(waiting("review", schema=APPROVAL)), "review", given) == {
        "approved": True, "note": "",
    }  # fmt: skip
    assert given == {"approved": True}


def test_data_that_does_not_fit_is_refused_with_place_and_reason():
    with pytest.raises(SignalMisfit) as caught:
        prepare_signal(definition(waiting("review", schema=APPROVAL)), "review", {"approved": "yes"})
    assert caught.value.headline == "the data of signal review does not fit the schema"
    assert caught.value.problems == ('approved: "yes" is not of type "boolean"',)


def test_one_schema_that_fits_is_enough():
    either = definition(waiting("ask", "review", APPROVAL), waiting("hear", "review", {"type": "string"}))
    assert prepare_signal(either, "review", "fine") == "fine"
    with pytest.raises(SignalMisfit) as caught:
        prepare_signal(either, "review", 7)
    assert [problem.partition(":")[0] for problem in caught.value.problems] == ["ask", "hear"]


def test_a_schema_that_several_steps_share_is_complained_of_once():
    both = definition(waiting("first", "review", APPROVAL), waiting("second", "review", APPROVAL))
    with pytest.raises(SignalMisfit) as caught:
        prepare_signal(both, "review", {})
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize(
    ("schema", "value"),
    [(None, None), ({"type": "object", "properties": {"n": {"default": 1}}}, {"n": 1}), ({"type": "null"}, None)],
)
def test_no_data_is_an_empty_object_where_the_schema_takes_one(schema: dict[str, Any] | None, value: Any):
    assert prepare_signal(definition(waiting("go", schema=schema)), "go", None) == value


def test_a_name_that_nothing_waits_for_is_told_with_those_there_are():
    told = unknown_signal(definition(waiting("review"), waiting("pay")), "reviw")
    assert told == 'takes no signal "reviw"; did you mean "review"? it takes: review, pay'


def test_a_definition_that_waits_for_nothing_is_told():
    assert unknown_signal(definition(), "x") == "takes no signals: no step of order 1.0.0 has a wait_for"
