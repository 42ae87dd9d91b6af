"""Words from other languages lead to ours."""

from __future__ import annotations

from typing import Any

import pytest

from runner.definition.foreign import habit, word_for
from runner.definition.schema import load_schema, schema_findings
from runner.definition.source import read_text


def hints(step: str) -> list[str]:
    text = f"workflow: a\nversion: '1'\nsteps:\n  - {step}\n"
    return [finding.hint for finding in schema_findings(read_text(text, "a.yaml"), "workflow")]


def keys(schema: Any) -> set[str]:
    """Every key that a definition can have."""
    if isinstance(schema, list):
        return set().union(*map(keys, schema))
    if not isinstance(schema, dict):
        return set()
    below = (keys(part) for key, part in schema.items() if key not in ("examples", "default"))
    return set(schema.get("properties", {})).union(*below)


@pytest.mark.parametrize(
    ("word", "known", "ours"),
    [
        ("foreach", ["for_each"], "for_each"),
        ("forEach", ["for_each"], "for_each"),
        ("items", ["in", "steps"], "in"),
        ("name", ["workflow", "steps"], "workflow"),
        ("name", ["id", "steps"], "id"),
        ("if", ["steps"], ""),
        ("nonsense", ["steps"], ""),
    ],
)
def test_a_word_is_ours_where_ours_can_stand(word: str, known: list[str], ours: str) -> None:
    assert word_for(word, known) == ours


def test_every_word_leads_to_a_key_that_there_is() -> None:
    from runner.definition.foreign import _WORDS

    known = keys(load_schema("workflow"))
    assert {ours for words in _WORDS.values() for ours in words} - known == set()


@pytest.mark.parametrize(
    ("step", "hint"),
    [
        ("{id: a, if: '{{ input.a }}', worker: w}", 'did you mean "when"?'),
        ("{sleep: 1s}", 'did you mean "wait"?'),
        ("{id: a, worker: w, depends_on: [b]}", habit("depends_on")),
        ("{paralel: {}}", 'did you mean "parallel"?'),
        ("{parallel: {fraud: [{set: {}}]}}", "it is written {branches: {NAME: [STEPS]}}"),
        ("{parallel: [[{set: {}}]]}", "it is written {branches: {NAME: [STEPS]}}"),
        ("{wait: 5}", "a unit is needed: 5s"),
        ("{for_each: '{{ input.a }}'}", "it is written {in: LIST, as: NAME, steps: [STEPS]}"),
        ("{id: a, wait_for: {signal: a, timeout: 5}}", "a unit is needed: 5s"),
    ],
)
def test_a_mistake_has_one_hint_that_says_what_to_write(step: str, hint: str) -> None:
    assert hints(step) == [hint]
