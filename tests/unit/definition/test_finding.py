"""Pointers, and values as messages show them."""

from __future__ import annotations

import pytest

from runner.definition.finding import child, last, parent, shown


@pytest.mark.parametrize("key", ["a", "a/b", "a~b", "~1", "", "é"])
def test_the_last_part_of_a_childs_pointer_is_its_key(key: str) -> None:
    pointer = child("/steps/0", key)
    assert last(pointer) == key
    assert parent(pointer) == "/steps/0"


def test_a_shown_value_is_short_and_harmless() -> None:
    assert shown("a\x1b[2J\u202e\n") == '"a\\u001b[2J?\\n"'
    assert len(shown("x" * 10_000)) < 70
    assert shown(float("inf")) == "inf"
