"""Which strings of a definition are templates, and what each may read."""

from __future__ import annotations

from pathlib import Path

from runner.definition.load import examine_text
from runner.lint.reading import Text, texts_of
from runner.lint.walk import outline_of

STEP = """
workflow: a
version: '1'
summary: "{{ not an expression }}"
idempotency_key: "{{ input.id }}"
steps:
  - id: charge
    when: "{{ input.a }}"
    worker: w
    with: {plain: text, list: ["{{ input.b }}", {deep: "x {{ input.c }}"}]}
    compensate: {worker: u, with: {a: "{{ result.d }}"}}
    verify: {worker: v, with: {a: "{{ input.e }}"}}
    output: "{{ result.f }}"
    catch:
      - when: "{{ error.code }}"
        steps: [{set: {a: "{{ error.g }}"}}]
        output: "{{ input.h }}"
  - fail: {error: x, message: "{{ input.i }}"}
finally:
  - set: {a: "{{ run.status }}"}
output: "{{ input.j }}"
"""


def texts(text: str = STEP) -> dict[str, Text]:
    draft = examine_text(text, file="a.yaml", root=Path())
    assert draft.definition is not None
    assert draft.source is not None
    found = texts_of(draft.definition, outline_of(draft.definition, draft.source.value))
    return {text.pointer: text for text in found}


def test_every_templated_string_is_there_with_its_place() -> None:
    assert list(texts()) == [
        "/idempotency_key",
        "/steps/0/when",
        "/steps/0/with/list/0",
        "/steps/0/with/list/1/deep",
        "/steps/0/compensate/with/a",
        "/steps/0/verify/with/a",
        "/steps/0/output",
        "/steps/0/catch/0/when",
        "/steps/0/catch/0/output",
        "/steps/0/catch/0/steps/0/set/a",
        "/steps/1/fail/message",
        "/finally/0/set/a",
        "/output",
    ]


def test_each_reads_what_is_in_scope_there() -> None:
    found = texts()
    everywhere = {"input", "steps", "vars", "run"}
    assert found["/idempotency_key"].names == {"input"}
    assert found["/steps/0/with/list/0"].names == {*everywhere, "step"}
    assert found["/steps/0/compensate/with/a"].names == {*everywhere, "step", "result"}
    assert found["/steps/0/verify/with/a"].names == {*everywhere, "step"}
    assert found["/steps/0/output"].names == {*everywhere, "step", "result"}
    assert found["/steps/0/catch/0/when"].names == {*everywhere, "step", "error"}
    assert found["/steps/0/catch/0/steps/0/set/a"].names == {*everywhere, "step", "error"}
    assert found["/finally/0/set/a"].names == {*everywhere, "step", "error"}
    assert found["/output"].names == everywhere


def test_a_string_that_does_not_parse_has_its_fault_and_no_references() -> None:
    text = texts(STEP.replace("x {{ input.c }}", "x {{ input. }}"))["/steps/0/with/list/1/deep"]
    assert text.fault is not None
    assert text.references == ()


def test_a_key_that_looks_like_a_template_is_noted() -> None:
    found = texts(STEP.replace("plain:", '"{{ input.key }}":'))
    assert found["/steps/0/with/{{ input.key }}"].is_key


CONSTRUCTS = """
workflow: a
version: '1'
concurrency: {limit: 1, key: "{{ input.a }}"}
steps:
  - {id: lines, for_each: {in: "{{ input.b }}", as: line, steps: [{set: {a: "{{ line }}"}}], output: "{{ line }}"}}
  - {id: rounds, repeat: {max: 2, until: "{{ result }}", steps: [{set: {a: 1}}], output: "{{ result }}"}}
  - {switch: [{when: "{{ input.c }}", steps: []}, {else: [{set: {a: "{{ input.d }}"}}]}]}
  - {wait: "{{ input.e }}"}
  - {wait: {until: "{{ input.f }}"}}
  - {id: go, wait_for: {signal: go, match: "{{ result.g }}", timeout: "{{ input.h }}s"}}
  - {id: act, worker: w, compensate: {worker: u}, confirm: {worker: c, with: {a: "{{ result.i }}"}}}
  - {parallel: {branches: {b: [{set: {a: "{{ input.j }}"}}]}}}
"""


def test_the_templates_of_every_construct_are_there() -> None:
    assert list(texts(CONSTRUCTS)) == [
        "/concurrency/key",
        "/steps/0/for_each/in",
        "/steps/0/for_each/output",
        "/steps/0/for_each/steps/0/set/a",
        "/steps/1/repeat/output",
        "/steps/1/repeat/until",
        "/steps/2/switch/0/when",
        "/steps/2/switch/1/else/0/set/a",
        "/steps/3/wait",
        "/steps/4/wait/until",
        "/steps/5/wait_for/match",
        "/steps/5/wait_for/timeout",
        "/steps/6/confirm/with/a",
        "/steps/7/parallel/branches/b/0/set/a",
    ]


def test_each_construct_has_its_names_in_scope() -> None:
    found = texts(CONSTRUCTS)
    everywhere = {"input", "steps", "vars", "run", "step"}
    assert found["/concurrency/key"].names == {"input"}
    assert found["/steps/0/for_each/in"].names == everywhere
    assert found["/steps/0/for_each/output"].names == {*everywhere, "line", "result"}
    assert found["/steps/0/for_each/steps/0/set/a"].names == {*everywhere, "line"}
    for pointer in ("/steps/1/repeat/output", "/steps/1/repeat/until", "/steps/5/wait_for/match"):
        assert found[pointer].names == {*everywhere, "result"}
    assert found["/steps/5/wait_for/timeout"].names == everywhere
    assert found["/steps/6/confirm/with/a"].names == {*everywhere, "result"}
