"""What is known of a value before it is computed. What it is used for: tests/unit/lint/rules/test_operations.py."""

from __future__ import annotations

from typing import Any

import pytest

from runner.expression.evaluate import ANYTHING, Known, compile_template, inferred, known_constant

SCOPE = {"n": Known(frozenset({"number"})), "t": Known(frozenset({"string"})), "l": Known(frozenset({"array"}))}


def look(path: tuple[str | int, ...]) -> Known:
    return SCOPE.get(str(path[0]), ANYTHING) if len(path) == 1 else ANYTHING


@pytest.mark.parametrize(
    ("template", "kinds"),
    [
        ("text", {"string"}),
        (7, {"number"}),
        (True, {"boolean"}),
        (None, {"null"}),
        (["{{ n }}"], {"array"}),
        ({"a": "{{ n }}"}, {"object"}),
        ("{{ n }}", {"number"}),
        ("a {{ n }}", {"string"}),
        ("{{ n + 1 }}", {"number"}),
        ("{{ t + 'a' }}", {"string"}),
        ("{{ n ~ 1 }}", {"string"}),
        ("{{ n if t == 'a' else t }}", {"number", "string"}),
        ("{{ n | default('') }}", {"number", "string"}),
        ("{{ unknown | default('') }}", set()),
        ("{{ unknown }}", set()),
        ("{{ unknown + 1 }}", set()),
        ("{{ t is defined and n > 1 }}", {"boolean"}),
        ("{{ t or n }}", {"string", "number"}),
        ("{{ l[1:] }}", {"array"}),
        ("{{ l[0] }}", set()),
        ("{{ t | int }}", {"number"}),
        ("{{ l | map(attribute='a') | join(',') }}", {"string"}),
        ("{{ l | first }}", set()),
    ],
)
def test_types(template: Any, kinds: set[str]) -> None:
    assert inferred(template, look)[0].kinds == kinds


def test_a_constant_is_its_own_only_value() -> None:
    assert known_constant("a").values == ("a",)
    assert known_constant("a").either(known_constant("b")).values == ("a", "b")
    assert known_constant("a").either(Known(frozenset({"number"}))).values is None
    assert known_constant("a").either(ANYTHING) == ANYTHING


def test_columns_are_those_of_the_whole_text() -> None:
    text = "so {{ n }} and {{ n - t }}"
    _, (clash,) = inferred(text, look)
    assert text[clash.column - 1 :][: clash.length] == "t"
    assert clash.what == "operation"


def test_what_is_computed_agrees_with_what_was_inferred() -> None:
    scope = {"n": 3, "t": "a", "l": [1, 2]}
    named = {int: "number", float: "number", str: "string", bool: "boolean", list: "array", dict: "object"}
    sources = ("n * 2 / 3", "n // 2", "t ~ n", "n < 4 <= n", "not t", "l | length", "l + [n]", "t in ['a']", "-n")
    for source in sources:
        known, clashes = inferred(f"{{{{ {source} }}}}", look)
        value = compile_template(f"{{{{ {source} }}}}").render(scope)
        assert clashes == []
        assert named[type(value)] in known.kinds
