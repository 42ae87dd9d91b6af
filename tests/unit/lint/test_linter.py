"""The rules together: what is reported beside other problems, and that nothing makes the checker itself fail."""

from __future__ import annotations

import json
import random
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.definition.codes import CODES
from runner.definition.load import examine_text, load_text
from runner.definition.problem import Problem
from runner.definition.source import read_text
from runner.errors import DefinitionError
from runner.lint.linter import RULES, lint, lint_draft, titles
from runner.lint.text import render

GOLDEN = Path(__file__).parents[2] / "golden"
SOUND = [path.read_text() for path in sorted((GOLDEN / "ok").glob("*.yaml"))]
CONTRACTS = json.loads((GOLDEN / "workers.json").read_text())
HEAD = "workflow: a\nversion: '1'\nsteps:\n"


def problems_of(text: str) -> list[Problem]:
    return lint_draft(examine_text(text, file="ok/a.yaml", root=GOLDEN, contracts=CONTRACTS), CONTRACTS)


def codes(text: str) -> list[str]:
    return [problem.code for problem in problems_of(text)]


def test_a_sound_definition_is_linted_by_itself() -> None:
    text = f"{HEAD}  - {{id: a, worker: orders.validate, with: {{order: '{{{{ steps.b }}}}'}}}}\n"
    definition = load_text(text, file="a.yaml", root=GOLDEN, contracts=CONTRACTS)
    assert [problem.code for problem in lint(definition, read_text(text, "a.yaml"), CONTRACTS)] == ["SR204"]


def test_an_expression_is_checked_beside_a_misspelt_key() -> None:
    assert codes(f"{HEAD}  - {{idd: a, set: {{x: '{{{{ steps.b }}}}'}}}}") == ["SR102", "SR204"]


def test_how_a_step_is_undone_is_not_asked_where_its_keys_are_wrong() -> None:
    assert codes(f"{HEAD}  - {{id: a, worker: shipping.create, compensation: {{worker: x}}}}") == ["SR102", "SR201"]
    assert codes(f"{HEAD}  - {{id: a, worker: shipping.create, undoing: {{worker: x}}}}") == ["SR102"]


def test_paths_are_not_followed_through_a_file_with_wrong_steps() -> None:
    retriable = "  - {id: b, worker: shipping.create, kind: retriable}\n"
    assert codes(HEAD + retriable) == ["SR310"]
    assert codes(f"{HEAD}  - {{id: a, worker: shipping.create, kind: pivott}}\n{retriable}") == ["SR104"]


def test_a_step_that_cannot_be_understood_can_still_be_referred_to() -> None:
    steps = "  - {id: a, parallel: {}}\n  - {id: b, set: {x: '{{ steps.a.output }}'}}\n"
    assert codes(HEAD + steps) == ["SR101"]


def test_without_a_definition_the_problems_of_reading_are_all() -> None:
    assert codes("a: [") == ["SR001"]
    assert codes("") == ["SR103"]


def test_problems_are_in_the_order_of_the_file() -> None:
    found = problems_of((GOLDEN / "err" / "names.yaml").read_text())
    assert found == sorted(found)
    assert len(found) > 5


def test_every_code_has_one_title() -> None:
    assert all(re.fullmatch(r"SR\d{3}", code) for code in titles())
    of_rules = [(code, title) for rule in RULES for code, title in rule.codes.items()]
    assert len(of_rules) == len(dict(of_rules))
    for code, title in of_rules:
        assert CODES.get(code, title) == title


def test_every_rule_finds_only_what_it_says() -> None:
    known = titles()
    for path in (GOLDEN / "err").glob("*.out"):
        for code in re.findall(r"\[(SR\d+)\]", path.read_text()):
            assert code in known, path.name


SNIPPETS = [
    "{{",
    "}}",
    "{%",
    "{#",
    "{{ input }}",
    "{{ steps.charge.output }}",
    "&a ",
    "*a",
    "<<: ",
    "!!str ",
    "\t",
    "\n",
    "---\n",
    "[" * 70,
    "{",
    "}",
    "]",
    ": ",
    "- ",
    "? ",
    "null",
    "~",
    "true",
    "0x1F",
    "1e999",
    ".nan",
    "'",
    '"',
    "|",
    ">",
    "#",
    "\x00",
    "\x1b",
    "\u2028",
    "\ud800",
    "é😀",
    "$ref: ../schemas/order.schema.json",
    "$ref: '#/use/schemas/x'",
    "rethrow",
    "none",
    "kind: pivot",
    "parallel: {branches: {a: [{fail: rethrow}]}}",
    "for_each: {in: [1], steps: [{set: {x: '{{ item }}'}}]}",
    "repeat: {max: 1, until: '{{ result }}', steps: [{wait: 1s}]}",
    "switch: [{else: []}, {when: '{{ input }}', steps: []}]",
    "wait_for: {signal: a, timeout: 1s}",
    "on_failure: continue",
    "catch: [{}]",
    "steps: []",
    "99999999999999999999",
    "a" * 300,
    "\\u0000",
    "..",
]


@st.composite
def mangled(draw: st.DrawFn) -> str:
    """A definition after an accident or three with an editor."""
    text = draw(st.sampled_from(SOUND))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        length = draw(st.integers(0, 40))
        with_ = draw(st.sampled_from(["", *SNIPPETS]) | st.just(text[start : start + length]))
        into = draw(st.integers(0, len(text)))
        text = text[:start] + text[start + length :] if draw(st.booleans()) else text
        text = text[:into] + with_ + text[into:]
    return text


KEYS = [
    "id", "worker", "steps", "$ref", "x", "when", "else", "branches", "for_each", "in", "as", "until", "signal",
]
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["", "a", "{{ input.a }}", "{{", "none", "10s", "../x"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner)
    ),
    max_leaves=6,
)


@st.composite
def altered(draw: st.DrawFn) -> str:
    """A definition of which some nodes are something else."""
    value = read_text(draw(st.sampled_from(SOUND)), "a.yaml").value
    seed = draw(st.integers(0, 2**32))
    for _ in range(draw(st.integers(1, 4))):
        _alter(value, random.Random(seed), draw(JSON_VALUES))
        seed += 1
    return json.dumps(value, ensure_ascii=False)


def _alter(value: Any, choose: random.Random, new: Any) -> None:
    """Puts `new` in the place of a node, or under another node's name, or takes a node away."""
    nodes = [value]
    for node in nodes:
        members = node.values() if isinstance(node, dict) else node
        nodes.extend(member for member in members if isinstance(member, (dict, list)) and member)
    node = choose.choice(nodes)
    key = choose.choice(list(node) if isinstance(node, dict) else range(len(node)))
    action = choose.randrange(3)
    if action == 0:
        node[key] = new
    elif action == 1:
        del node[key]
    else:
        other = choose.choice(nodes)
        found = json.loads(json.dumps(node[key]))
        if isinstance(other, dict):
            other[choose.choice(list(other) or ["x"])] = found
        else:
            other.append(found)


def check_that_nothing_fails(text: str) -> None:
    for problem in problems_of(text):
        assert render(problem, text).startswith(f"{problem.file}:{problem.line}:{problem.column}: ")
        assert 1 <= problem.line <= text.count("\n") + 1
        assert f"{problem.message}{problem.hint}".isprintable()
    with suppress(DefinitionError):
        load_text(text, file="ok/a.yaml", root=GOLDEN)


@settings(max_examples=80)
@given(text=mangled())
def test_a_mangled_text_ends_in_problems(text: str) -> None:
    check_that_nothing_fails(text)


@settings(max_examples=80)
@given(text=altered())
def test_an_altered_document_ends_in_problems(text: str) -> None:
    check_that_nothing_fails(text)


@pytest.mark.parametrize("value", [[], {}, 5, "x", [[]], {"steps": None}, {"steps": [{"steps": [{"steps": 5}]}]}])
def test_any_json_ends_in_problems(value: Any) -> None:
    assert codes(json.dumps(value))
