"""Loading a definition from a file or a text."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.definition.load import check, examine, examine_text, load, load_text
from runner.definition.model import WorkerAction
from runner.errors import DefinitionError

GOLDEN = Path(__file__).parents[2] / "golden"
ORDER = GOLDEN / "ok" / "order.yaml"


def test_the_order_of_the_language_page_loads() -> None:
    order = load(ORDER, root=GOLDEN)
    assert [step.id for step in order.steps] == ["validate", "reserve", "charge", "ship", "notify"]
    assert [step.path for step in order.finally_] == ["~finally/record"]
    charge = order.steps[2].action
    assert isinstance(charge, WorkerAction)
    assert (charge.kind, charge.on_unknown, charge.call.timeout_ms) == ("compensatable", "verify", 8_000)
    assert charge.verify is not None
    assert charge.verify.retry.max_attempts == 12
    assert order.input_schema is not None
    assert order.input_schema["title"] == "An order"
    assert order.timeout_ms == 1_800_000


def test_a_definition_with_problems_raises_them_all() -> None:
    with pytest.raises(DefinitionError) as refused:
        load_text("workflow: A\nversion: 1\nsteps: [{set: {}}]\n", file="a.yaml", root=GOLDEN)
    assert [problem.code for problem in refused.value.problems] == ["SR105", "SR103"]
    assert str(refused.value).startswith("a.yaml:1:11: error[SR105]: ")


def test_checking_gives_the_problems_and_no_definition(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("workflow: a\nversion: '1'\nsteps: [{set: {}}]\n")
    definition, problems = check(path, root=tmp_path)
    assert definition is not None
    assert problems == []
    path.write_text("workflow: a\nversion: '1'\nsteps: [{sett: {}}]\n")
    definition, problems = check(path, root=tmp_path)
    assert definition is None
    assert [problem.code for problem in problems] == ["SR102"]


def test_a_missing_file_is_a_problem_and_no_traceback(tmp_path: Path) -> None:
    assert [problem.code for problem in examine(tmp_path / "a.yaml", root=tmp_path).problems] == ["SR001"]


def test_references_of_a_text_are_relative_to_the_file_it_names() -> None:
    text = "workflow: a\nversion: '1'\ninput: {$ref: ../schemas/order.schema.json}\nsteps: [{set: {}}]\n"
    assert load_text(text, file="ok/a.yaml", root=GOLDEN).input_schema
    with pytest.raises(DefinitionError, match="SR110"):
        load_text(text, file="a.yaml", root=GOLDEN)


def test_the_same_text_has_the_same_digest_and_another_contract_another_one() -> None:
    first = load(ORDER, root=GOLDEN)
    assert first.digest == load(str(ORDER), root=str(GOLDEN)).digest
    text = "workflow: a\nversion: '1'\nsteps: [{id: a, worker: w}]\n"
    without = load_text(text, file="a.yaml", root=GOLDEN)
    with_contract = load_text(text, file="a.yaml", root=GOLDEN, contracts={"w": {"readonly": True}})
    assert without.digest != with_contract.digest


@pytest.mark.parametrize("flaw", ['"x" y', "a: b: c", "  - {a: 1", "'"])
def test_a_flaw_in_the_yaml_makes_no_mistake_of_what_is_above_it(flaw: str) -> None:
    """What ends above the flaw only because of it is not told, wherever the flaw is and however it is indented."""
    lines = ORDER.read_text().split("\n")
    for index, line in enumerate(lines):
        for indent in {0, len(line) - len(line.lstrip())}:
            text = "\n".join([*lines[:index], " " * indent + flaw, *lines[index:]])
            problems = examine_text(text, file="ok/order.yaml", root=GOLDEN).problems
            codes = [problem.code for problem in problems]
            assert all(code.startswith("SR0") for code in codes) or "SR001" not in codes, (index, indent, problems)
