"""Which steps an expression sees."""

from __future__ import annotations

from pathlib import Path

from runner.definition.load import examine_text
from runner.lint.outline import Outline, outline_of

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


def outline() -> Outline:
    draft = examine_text(TEXT, file="a.yaml", root=Path())
    assert draft.definition is not None
    assert draft.source is not None
    return outline_of(draft.definition, draft.source.value)


def sees(step_id: str) -> set[str]:
    return set(outline().by_id[step_id].visible)


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
    assert outline().visible_at_end == everything


def test_the_output_of_a_block_sees_its_steps() -> None:
    assert outline().by_id["block"].visible_inside == {"first", "inner", "tried", "after"}


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
