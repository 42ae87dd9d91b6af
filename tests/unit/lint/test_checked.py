"""A definition from a file with every check applied."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.errors import DefinitionError
from runner.lint.checked import check_file, load_checked

GOLDEN = Path(__file__).parents[2] / "golden"


def test_a_right_definition_is_given() -> None:
    definition, problems = check_file(GOLDEN / "ok" / "order.yaml", root=GOLDEN)
    assert definition == load_checked(GOLDEN / "ok" / "order.yaml", root=GOLDEN)
    assert problems == []


def test_what_only_a_rule_finds_refuses_it_too() -> None:
    path = GOLDEN / "err" / "step_unknown.yaml"
    definition, problems = check_file(path, root=GOLDEN)
    assert definition is None
    assert {problem.code for problem in problems} == {"SR204", "SR301"}
    with pytest.raises(DefinitionError, match="SR204"):
        load_checked(path, root=GOLDEN)


def test_unknown_workers_are_only_unknown_where_the_workers_are_known() -> None:
    path = GOLDEN / "ok" / "order.yaml"
    assert {problem.code for problem in check_file(path, root=GOLDEN, contracts={})[1]} == {"SR201"}
