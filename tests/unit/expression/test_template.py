"""Templates: types are kept, text is text, and data is never evaluated."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.expression.evaluate import ExpressionFault, compile_template

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def render(template: Any, **scope: Any) -> Any:
    return compile_template(template).render(scope)


def fault(template: Any, **scope: Any) -> ExpressionFault:
    with pytest.raises(ExpressionFault) as caught:
        render(template, **scope)
    return caught.value


@pytest.mark.parametrize(
    "value",
    ["007", "None", "True", "[1,2]", "1_000", "1e3", "{'a': 1}", "", " ", "null", True, False, None, 0, 1, 1.0, -0.5,
     2**70, [], [1, "1"], {}, {"a": {"b": ["007", None, 1.0]}}, "{{ 1 }}", "{% x %}", "{# y #}", "}}"],
)  # fmt: skip
def test_a_string_that_is_one_expression_gives_the_value_with_its_type(value: Any):
    result = render("{{ input }}", input=value)
    assert result == value
    assert type(result) is type(value)


@given(JSON)
def test_any_json_passes_through_unchanged(value: Any):
    for template in ("{{ input }}", "{{input}}", "{{ wrapped.value }}", "{{ wrapped['value'] }}", "{{ input }}\n"):
        result = render(template, input=value, wrapped={"value": value})
        assert result is value


@given(st.text())
def test_text_in_a_text_stays_as_it_is(value: str):
    if len(value) < 1_000:
        assert render("<{{ input }}>", input=value) == f"<{value}>"


@given(st.text(max_size=50))
def test_a_string_without_braces_is_constant(text: str):
    if "{" not in text:
        template = compile_template(text)
        assert template.is_constant
        assert template.render({}) == text


@pytest.mark.parametrize(
    ("template", "result"),
    [
        ("{{ a }}", 1),
        ("{{a}}", 1),
        ("{{ a }}\n", 1),
        (" {{ a }}", " 1"),
        ("{{ a }} ", "1 "),
        ("{{ a }}\n\n", "1\n\n"),
        ("{{ a }}{{ a }}", "11"),
        ("n={{ a }}!", "n=1!"),
        ("{{ t }} {{ f }} {{ s }}", "true 1.5 007"),
        ("{{ s }}{{ '' }}", "007"),
        ("{{ '}}' }}", "}}"),
        ("x{{ '}}' ~ \"{{\" }}y", "x}}{{y"),
        ('{{ "{{" }} a }}', "{{ a }}"),
        ("{{ '{%' }}{{ '{#' }}", "{%{#"),
        ("{{ {'a': {'b': a}} }}", {"a": {"b": 1}}),
        ("{{ {'a': {'b': a}}}}", {"a": {"b": 1}}),
        ("{{\n  a\n  + 1\n}}", 2),
        ("a }} b { c }", "a }} b { c }"),
        ('{"json": {"a": 1}}', '{"json": {"a": 1}}'),
        ("", ""),
        ("{", "{"),
        (7, 7),
        (None, None),
        (True, True),
    ],
)
def test_strings_are_rendered(template: Any, result: Any):
    rendered = render(template, a=1, t=True, f=1.5, s="007")
    assert rendered == result
    assert type(rendered) is type(result)


def test_structures_are_rendered_at_any_depth_and_keep_their_order():
    template = {"z": ["{{ a }}", {"y": "n{{ a }}", "x": 3}], "b": {"c": None}, "a": "plain"}
    rendered = render(template, a=1)
    assert rendered == {"z": [1, {"y": "n1", "x": 3}], "b": {"c": None}, "a": "plain"}
    assert list(rendered) == ["z", "b", "a"]


def test_a_template_is_left_as_it_was():
    template = {"a": ["{{ x }}"]}
    render(template, x=1)
    assert template == {"a": ["{{ x }}"]}


def test_a_template_that_reads_nothing_is_constant():
    assert compile_template({"a": ["{{ 1 + 1 }}", "b"]}).is_constant
    assert not compile_template({"a": ["{{ x | default(1) }}"]}).is_constant


def test_data_that_looks_like_an_expression_is_text():
    data = "{{ 1 + 1 }} {% for x in y %} {{ input }}"
    assert render("{{ input }}", input=data) == data
    assert render("a {{ input }}", input=data) == f"a {data}"
    assert render({"k": ["{{ input.x }}"]}, input={"x": {"{{ 2 }}": data}}) == {"k": [{"{{ 2 }}": data}]}


@pytest.mark.parametrize(
    ("template", "column", "expected"),
    [
        (
            "a {% if x %}",
            3,
            '{% is not allowed: there are expressions only; for the characters themselves write {{ "{%" }}',
        ),
        (
            "{# note #}",
            1,
            '{# is not allowed: there are expressions only; for the characters themselves write {{ "{#" }}',
        ),
        (
            "{{ a }}{#",
            8,
            '{# is not allowed: there are expressions only; for the characters themselves write {{ "{#" }}',
        ),
        ("a {{ b", 3, "the expression is not closed: }} is missing"),
        ("{{ 'abc }}", 4, 'unexpected "\'": the string is not closed'),
        ("x {{ (a }}", 9, "unexpected '}', expected ')'"),
        ("{{- a }}", 1, "white space is not trimmed with {{-; for a sign put a space before it"),
        ("{{  " + "a+" * 600 + "a }}", 5, "the expression is longer than 1,024 characters"),
        ("{{ a -}}", 6, "white space is not trimmed with -}}; for a minus put a space after it"),
    ],
)
def test_texts_that_are_no_templates_are_refused_at_their_column(template: str, column: int, expected: str):
    caught = fault({"k": template})
    assert (caught.message, caught.column, caught.offset, caught.pointer) == (expected, column, 0, "/k")
    assert caught.source == template


def test_a_fault_of_an_expression_is_placed_in_its_string():
    text = "to {{  input.x }} and {{ 1 +  }}"
    caught = fault({"a": [text]})
    assert (caught.pointer, caught.source) == ("/a/0", "1 +")
    assert text[caught.offset :].startswith("1 +")
    assert text[caught.offset + caught.column - 1] == "+"


def test_a_fault_of_rendering_is_placed_in_its_string():
    text = "to {{  input.x.y }}"
    caught = fault({"a": [text]}, input={"z": 1})
    assert caught.message == 'input.x.y is absent: input has no "x" (has: z)'
    assert (caught.pointer, caught.source) == ("/a/0", "input.x.y")
    assert text[caught.offset + caught.column - 1 :].startswith("x.y")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, 'null cannot be part of a text; give it a default: | default("", true)'),
        ([1], 'a list cannot be part of a text; use | join(", ") or | tojson'),
        ({"a": 1}, "a mapping cannot be part of a text; use | tojson, or read one of its values"),
    ],
)
def test_null_lists_and_mappings_cannot_be_part_of_a_text(value: Any, expected: str):
    caught = fault("x{{ input }}", input=value)
    assert (caught.message, caught.offset, caught.source) == (expected, 4, "input")


def test_absent_values_are_faults_at_any_depth():
    assert fault({"a": [{"b": "{{ x }}"}]}).pointer == "/a/0/b"
    assert fault({"a": ["{{ [1, {'k': [x]}] }}"]}).message.startswith("x is absent")
    assert fault("a {{ x }}").message.startswith("x is absent")


def test_a_key_cannot_be_computed():
    assert fault({"a": {"{{ x }}": 1}}).message == "a key cannot be computed: {{ x }}"


def test_many_expressions_in_a_long_text_take_linear_time():
    """Lexing goes on from each expression, so a text must not be read to its end every time."""
    text = "{{ a }}" + " {{ a }} and some text around it" * 90 + "x" * 30_000
    began = time.thread_time()
    compile_template(text)
    assert time.thread_time() - began < 1.0
