"""Names of items."""

from __future__ import annotations

import pytest

from tests.findings import found


def loop(name: str, inner: str = "{set: {x: 1}}") -> str:
    return f"{{for_each: {{in: [1], as: {name}, steps: [{inner}]}}}}"


@pytest.mark.parametrize("name", ["input", "steps", "vars", "run", "step", "error", "result", "not", "true", "none"])
def test_a_name_that_means_something_else(name: str) -> None:
    assert found(loop(f"'{name}'")) == ["SR217"]


@pytest.mark.parametrize("name", ["item", "line", "inputs", "length", "nothing"])
def test_any_other_name_is_free(name: str) -> None:
    assert found(loop(name, f"{{set: {{x: '{{{{ {name} }}}}'}}}}")) == []


def test_an_inner_item_does_not_hide_an_outer_one() -> None:
    assert found(loop("line", loop("line"))) == ["SR217"]
    assert found(loop("line", f"{{steps: [], catch: [{{steps: [{loop('line')}]}}]}}")) == ["SR217"]
    assert found(loop("line", loop("part"))) == []
    assert found(loop("line"), loop("line")) == []


def test_an_item_is_read_inside_of_its_loop_only() -> None:
    read = "{set: {x: '{{ line }}'}}"
    assert found(loop("line", read)) == []
    assert found(loop("line"), read) == ["SR205"]
    assert found(f"{{for_each: {{in: '{{{{ line }}}}', as: line, steps: [{read}]}}}}") == ["SR205"]
