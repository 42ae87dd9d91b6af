"""The canonical form: what is written how, that comments stay where they belong, and that nothing else changes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.definition.formatting.format import format_text
from runner.definition.load import digest_of
from runner.definition.source import read_text
from runner.errors import DefinitionError

ROOT = Path(__file__).parents[4]
FILES = [
    path
    for folder in ("definitions", "tests/golden/ok", "tests/golden/err")
    for path in sorted((ROOT / folder).glob("*.yaml"))
]


def value_of(text: str) -> object:
    """What the YAML says; None for what is no YAML of ours."""
    try:
        return read_text(text, "a.yaml").value
    except DefinitionError:
        return None


TEXTS = [text for text in (path.read_bytes().decode(errors="replace") for path in FILES) if value_of(text) is not None]

STEPS = """steps:
- worker: 'a.b' # asks
  # its name
  id: pay

# about the second
- {with: { a : 1,b:  "{{ input.b }}" }, id: second,worker: a.c}   # on one line


- id: third
  wait:  1s
  # at the end of the third
# at the end
"""
FORMATTED = """steps:
  # its name
  - id: pay
    worker: "a.b" # asks

  # about the second
  - {id: second, worker: a.c, with: {a: 1, b: "{{ input.b }}"}}   # on one line

  - id: third
    wait: 1s
    # at the end of the third
# at the end
"""


def test_indentation_spaces_quotes_blank_lines_and_the_order_of_keys() -> None:
    assert format_text(STEPS, "a.yaml") == FORMATTED


@pytest.mark.parametrize(
    ("text", "formatted"),
    [
        ("", ""),
        ("\n# only this\n\n", "# only this\n"),
        ("\ufeffa: 1", "a: 1\n"),
        ("a: 1\r\nb:  2\r\n", "a: 1\r\nb: 2\r\n"),
        ("# head\n\nversion: 1\nworkflow: a # name\n", "# head\n\nworkflow: a # name\nversion: 1\n"),
        ('{"workflow": "a",  "steps": []}', '{"workflow": "a", "steps": []}\n'),
        ("a:\n\n\n  b: 1\n\n\n\n  c: 2\n", "a:\n  b: 1\n\n  c: 2\n"),
        ("a: 'it''s'\nb: 'say \"no\"'\nc: '\\n'\nd: 'x'\n", "a: 'it''s'\nb: 'say \"no\"'\nc: '\\n'\nd: \"x\"\n"),
        ("a: |\n      x\n\n        y\nb: >-\n    z\n", "a: |\n      x\n\n        y\nb: >-\n    z\n"),
        ("a:\n    b: |\n        x\n    c: 1\n", "a:\n  b: |\n      x\n  c: 1\n"),
        ("a: {b: 1,\n    c: 2}\n", "a: {b: 1,\n    c: 2}\n"),
        ("l:\n    a:   {b: 1, # one\n          c: 2}\n", "l:\n  a: {b: 1, # one\n      c: 2}\n"),
        ("a: # why\n  1\n", "# why\na: 1\n"),
        ("a:\n  - - 1\n    - 2\n  -\n    b: 1\n", "a:\n  - - 1\n    - 2\n  - b: 1\n"),
        ("a: # all\n  # first\n  - 1\n", "a: # all\n  # first\n  - 1\n"),
        ("a: &x\n    b: 1\nc: *x\n", "a: &x\n  b: 1\nc: *x\n"),
        ("a:\nb: \n", "a:\nb:\n"),
        ("--- # begin\na: 1\n...\n", "--- # begin\na: 1\n"),
    ],
)
def test_what_is_written_how(text: str, formatted: str) -> None:
    assert format_text(text, "a.yaml") == formatted
    assert format_text(formatted, "a.yaml") == formatted


def test_where_the_order_says_something_it_stays() -> None:
    text = (
        "workflow: a\nvars: {b: 1, a: 2}\nsteps:\n  - set: {z: 1, y: 2}\n  - parallel:\n      branches:\n"
        "        two: []\n        one: []\noutput: {b: 1, a: 2}\n"
    )
    assert format_text(text, "a.yaml") == text


def test_an_alias_that_would_come_before_its_anchor_keeps_the_keys_in_their_order() -> None:
    text = "workflow: a\nsteps:\n  - with: &w {a: 1}\n    id: b\n    compensate: {with: *w,  worker: c}\n"
    moved = text.replace("with: &w {a: 1}\n    id: b", "id: b\n    with: &w {a: 1}")
    assert format_text(text, "a.yaml") == moved.replace("{with: *w,  worker: c}", "{worker: c, with: *w}")
    held = "workflow: a\nsteps:\n  - output: &o {a:  1}\n    id: b\n    with: *o\n"
    assert format_text(held, "a.yaml") == held.replace("a:  1", "a: 1")


@pytest.mark.parametrize("text", ["a: [", "a: 1\na: 2\n", "a: !!str 1\n", "a: 1\n---\nb: 2\n", "a: \ud800\n"])
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(DefinitionError):
        format_text(text, "a.yaml")


def test_what_cannot_be_written_without_a_change_is_refused() -> None:
    with pytest.raises(DefinitionError, match="left as it is"):
        format_text("? a\n: b\n", "a.yaml")


@pytest.mark.parametrize("text", TEXTS)
def test_formatting_changes_neither_what_is_said_nor_a_comment_nor_itself(text: str) -> None:
    made = format_text(text, "a.yaml")
    assert digest_of(value_of(made)) == digest_of(value_of(text))
    assert format_text(made, "a.yaml") == made


@st.composite
def disturbed(draw: st.DrawFn) -> str:
    """A definition with comments, blank lines and spaces where a person might have put them."""
    text = draw(st.sampled_from(TEXTS))
    value = value_of(text)
    lines = text.split("\n")
    for number in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(lines) - 1))
        new = list(lines)
        match draw(st.sampled_from(["comment", "blank", "tail", "spaces", "quotes"])):
            case "comment":
                new.insert(at, " " * draw(st.integers(0, 12)) + f"# note {number}")
            case "blank":
                new.insert(at, " " * draw(st.integers(0, 3)))
            case "tail":
                new[at] += draw(st.sampled_from([" # tail", "   # tail", "  "]))
            case "spaces":
                new[at] = new[at].replace(": ", ":   ", 1).replace(", ", " ,", 1)
            case _:
                new[at] = new[at].replace('"', "'")
        if value_of("\n".join(new)) == value:
            lines = new
    return "\n".join(lines)


@given(disturbed())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_whatever_stands_between_the_lines_nothing_is_lost_and_once_is_enough(text: str) -> None:
    made = format_text(text, "a.yaml")  # it refuses what would change, or lose a comment
    assert value_of(made) == value_of(text)
    assert made.count("# note") == text.count("# note")
    assert made.count("# tail") == text.count("# tail")
    assert format_text(made, "a.yaml") == made
