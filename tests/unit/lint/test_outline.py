"""Which steps an expression sees."""

from __future__ import annotations

from pathlib import Path

from runner.definition.load import examine_text
from runner.lint.outline import Outline, Site
from runner.lint.walk import outline_of

TEXT = """
workflow: a
version: '1'
steps:
  - {id: first, set: {}}
  - id: block
    steps:
      - {id: inner, set: {}}
      - id: tried
        set: {}
        catch:
          - steps: [{id: handled, set: {}}, {id: handled_too, set: {}}]
      - {id: after, set: {}}
  - {id: last, set: {}, on_failure: continue}
finally:
  - {id: record, set: {}}
  - {id: record_too, set: {}}
"""


def outline(text: str = TEXT) -> Outline:
    draft = examine_text(text, file="a.yaml", root=Path())
    assert draft.definition is not None
    assert draft.source is not None
    return outline_of(draft.definition, draft.source.value)


def sees(step_id: str) -> set[str]:
    return set(outline().by_id[step_id].before.visible)


def test_a_step_sees_what_is_before_it_in_its_own_and_the_sequences_around() -> None:
    assert sees("first") == set()
    assert sees("inner") == {"first"}
    assert sees("after") == {"first", "inner", "tried"}


def test_a_block_is_seen_with_its_steps_but_without_its_handlers() -> None:
    assert sees("last") == {"first", "block", "inner", "tried", "after"}


def test_a_handler_sees_the_step_that_failed() -> None:
    assert sees("handled") == {"first", "inner", "tried"}
    assert sees("handled_too") == {"first", "inner", "tried", "handled"}


def test_finally_sees_the_steps_of_the_run() -> None:
    everything = {"first", "block", "inner", "tried", "after", "last"}
    assert sees("record") == everything
    assert sees("record_too") == {*everything, "record"}
    assert outline().at_end.visible == everything


def test_the_output_of_a_block_sees_its_steps() -> None:
    assert outline().by_id["block"].inside.visible == {"first", "inner", "tried", "after"}


def test_every_step_is_there_once_with_its_place_in_the_file() -> None:
    assert [(site.step.id, site.pointer) for site in outline().sites] == [
        ("first", "/steps/0"),
        ("block", "/steps/1"),
        ("inner", "/steps/1/steps/0"),
        ("tried", "/steps/1/steps/1"),
        ("handled", "/steps/1/steps/1/catch/0/steps/0"),
        ("handled_too", "/steps/1/steps/1/catch/0/steps/1"),
        ("after", "/steps/1/steps/2"),
        ("last", "/steps/2"),
        ("record", "/finally/0"),
        ("record_too", "/finally/1"),
    ]


def test_what_may_take_a_failure_goes_from_the_inside_out() -> None:
    found = outline()
    assert [site.step.id for site in found.around(found.by_id["inner"])] == ["inner", "block"]
    assert [site.step.id for site in found.around(found.by_id["handled"])] == ["handled", "block"]


def test_on_failure_continue_is_placed_where_it_is_written() -> None:
    [handler] = outline().by_id["last"].handlers
    assert handler.pointer == "/steps/2/on_failure"


CONTAINERS = """
workflow: a
version: '1'
steps:
  - {id: first, set: {}}
  - id: side
    parallel:
      branches:
        left: [{id: left_1, set: {}}, {id: left_2, set: {}}]
        right: [{id: right_1, set: {}}]
  - id: lines
    for_each:
      in: [1]
      as: line
      steps: [{id: held, set: {}}, {id: sub, for_each: {in: [1], as: part, steps: [{id: deep, set: {}}]}}]
    catch: [{steps: [{id: gave_up, set: {}}]}]
  - {id: rounds, repeat: {max: 2, until: "{{ true }}", steps: [{id: asked, set: {}}, {id: heard, set: {}}]}}
  - id: choice
    switch:
      - {when: "{{ true }}", steps: [{id: low, set: {}}]}
      - {else: [{id: high, set: {}}]}
  - {id: last, set: {}}
"""
BEFORE = {"first", "side", "left_1", "left_2", "right_1"}


def site(step_id: str) -> Site:
    return outline(CONTAINERS).by_id[step_id]


def test_a_branch_sees_itself_and_what_is_before_the_parallel() -> None:
    assert site("left_2").before.visible == {"first", "left_1"}
    assert site("right_1").before.visible == {"first"}


def test_after_the_join_every_branch_is_seen() -> None:
    assert site("lines").before.visible == BEFORE


def test_an_item_sees_what_is_before_it_and_nobody_outside_sees_into_one() -> None:
    assert site("deep").before.visible == {*BEFORE, "held"}
    assert site("rounds").before.visible == {*BEFORE, "lines"}
    assert site("lines").inside.visible == BEFORE
    assert site("lines").arms[0].after.visible == {*BEFORE, "held", "sub"}


def test_the_handler_of_a_loop_does_not_see_into_the_items() -> None:
    assert site("gave_up").before.visible == {*BEFORE, "lines"}


def test_a_round_sees_its_own_steps_only() -> None:
    assert site("heard").before.visible == {*BEFORE, "lines", "asked"}
    assert site("choice").before.visible == {*BEFORE, "lines", "rounds"}


def test_a_case_sees_itself_and_all_are_seen_after_the_switch() -> None:
    assert site("high").before.visible == {*BEFORE, "lines", "rounds"}
    assert site("last").before.visible == {*BEFORE, "lines", "rounds", "choice", "low", "high"}


def test_items_are_in_scope_inside_of_their_loops() -> None:
    assert set(site("lines").items) == set()
    assert set(site("held").items) == {"line"}
    assert set(site("deep").items) == {"line", "part"}
    assert set(site("gave_up").items) == set()


def test_steps_in_containers_have_their_places_in_the_file() -> None:
    places = {site.step.id: site.pointer for site in outline(CONTAINERS).sites}
    assert places["right_1"] == "/steps/1/parallel/branches/right/0"
    assert places["deep"] == "/steps/2/for_each/steps/1/for_each/steps/0"
    assert places["gave_up"] == "/steps/2/catch/0/steps/0"
    assert places["heard"] == "/steps/3/repeat/steps/1"
    assert places["low"] == "/steps/4/switch/0/steps/0"
    assert places["high"] == "/steps/4/switch/1/else/0"
    assert all(found.raw["id"] == found.step.id for found in outline(CONTAINERS).sites)


def test_failures_go_out_through_containers() -> None:
    found = outline(CONTAINERS)
    assert [site.step.id for site in found.around(found.by_id["deep"])] == ["deep", "sub", "lines"]
    assert [site.step.id for site in found.everything_around(found.by_id["gave_up"])] == ["lines"]
