"""Every limit that docs/language.md states has its edge tested: at it all is well, one above is a clear error.

The edges that need only a value are here; of the others it is said which test has them, and a test sees that it is
there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from runner.definition.duration import parse_duration
from runner.definition.inputs import InputChecker
from runner.errors import SagarunError
from runner.expression.evaluate import compile_template
from runner.interpreter.sizes import too_large, too_many_nodes, too_much
from runner.monitor.logs import _bounded
from runner.starting import check_key
from runner.worker.http.hosts import read_url
from runner.worker.payload import clip, clip_details
from runner.worker.quota import read_limits
from runner.worker.registry import Registry
from tests.project.repository import ROOT

PAGE = (ROOT / "docs/language.md").read_text("utf-8").partition("\n## Limits\n")[2]
MIB = 1 << 20


def nested(depth: int) -> None:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    InputChecker(None).prepare(value)


def of_a_run(find: Callable[..., Any], *arguments: Any, made: int = 0, nodes: int = 0) -> None:
    run = SimpleNamespace(header=SimpleNamespace(made=made), nodes=range(nodes))
    error = find(run, *arguments)
    if error is not None:
        raise ValueError(error.message)


def whole(cut: Callable[[Any], Any]) -> Callable[[int], None]:
    """What grows too long is shortened, and not refused."""

    def check(size: int) -> None:
        if cut("x" * size) != "x" * size:
            raise ValueError("it was cut, at the limit of " + f"{size - 1:,}")

    return check


# What it is → what takes so many, and the largest number.
EDGES: dict[str, tuple[Callable[[int], object], int]] = {
    "names of workers": (lambda n: Registry().worker("x" * n)(lambda: None), 64),
    "codes": (lambda n: Registry().worker("a.b", raises=["x" * n])(lambda: None), 64),
    "steps of a run": (lambda n: of_a_run(too_many_nodes, n - 40_000, nodes=40_000), 50_000),
    "expressions in one text": (lambda n: compile_template("a{{ 1 }}" * n).render({}), 100),
    "a run's input": (lambda n: InputChecker(None).prepare("x" * (n - 2)), MIB),
    "depth of the input": (nested, 64),
    "a variable": (lambda n: of_a_run(too_large, "it", n), MIB),
    "what expressions make": (lambda n: of_a_run(too_much, n - 60 * MIB, made=60 * MIB), 64 * MIB),
    "an idempotency key": (lambda n: check_key("x" * n), 256),
    "a duration": (lambda n: parse_duration(f"{n}d"), 3_650),
    # Stated elsewhere.
    "an error's message": (whole(lambda text: clip(text, 4 * 1024)), 4 * 1024),
    "an error's details": (whole(lambda text: text if clip_details(text[2:]) == text[2:] else ""), 64 * 1024),
    "a text in the log": (whole(_bounded), 16_384),
    "a URL": (lambda n: read_url("https://h/" + "x" * (n - 10)), 8_192),
    "a rate": (lambda n: read_limits(f"{n}/s", None), 10_000),
    "max_concurrency": (lambda n: read_limits(None, n), 1_000),
}

# A row of the page → the tests that have its edges, or names of the above.
COVERED = {
    "a file": [
        "unit/definition/test_source.py::test_a_file_of_256_kib", "unit/definition/test_events.py::test_64_levels",
        "unit/definition/test_events.py::test_10_000_nodes",
        "unit/definition/test_project_file.py::test_100_files",
        "unit/definition/test_project_file.py::test_files_have_2_mib",
    ],
    "steps": [
        "unit/definition/test_resolve.py::test_500_steps",
        "unit/definition/test_resolve.py::test_steps_of_every_container",
        "unit/definition/test_schema.py::test_names_have_at_most_64", "names of workers", "codes",
    ],
    "loops": [
        "unit/interpreter/test_loop.py::test_a_loop_takes_a_thousand_items",
        "unit/definition/test_schema.py::test_1000_rounds",
        "steps of a run",
    ],
    "signals": [
        "unit/interpreter/test_signals.py::test_a_run_keeps_a_thousand",
        "unit/interpreter/test_signals.py::test_data_that_is_too_large",
    ],
    "an expression": [
        "unit/expression/test_limits.py::test_source_of_1024",
        "unit/expression/test_limits.py::test_syntax_trees_of_200",
        "unit/expression/test_limits.py::test_16_open_brackets", "expressions in one text",
    ],
    "what an expression computes": [
        "unit/expression/test_limits.py::test_computed_results_of_64_kib", "unit/expression/test_attacks.py",
    ],
    "a run's input, a task's input and output": [
        "a run's input", "depth of the input", "unit/worker/test_contract.py::test_a_result_of_a_mebibyte",
        "unit/worker/test_contract.py::test_an_input_of_a_mebibyte",
    ],
    "what workers and signals give a run in all": ["unit/interpreter/test_sizes.py::test_what_workers_give"],
    "what its expressions make": ["a variable", "what expressions make"],
    "an idempotency key": ["an idempotency key"],
    "a duration": ["a duration"],
}  # fmt: skip


@pytest.mark.parametrize("name", EDGES)
def test_at_the_limit_all_is_well_and_one_above_is_an_error(name: str):
    take, limit = EDGES[name]
    take(limit)
    with pytest.raises((ValueError, SagarunError)) as raised:
        take(limit + 1)
    told = r"at most|more than|exceeds|was cut|1 to |up to|is no error code|longest|lower case"
    assert re.search(told, str(raised.value)), str(raised.value)


def test_every_row_of_the_page_is_covered():
    rows = re.findall(r"^\| (\w[^|:]*?)(?::[^|]*)? \|", PAGE, re.MULTILINE)
    assert len(rows) >= 11
    assert set(rows) == set(COVERED)


@pytest.mark.parametrize("named", sorted({named for some in COVERED.values() for named in some}))
def test_what_covers_a_row_is_there(named: str):
    path, _, test = named.partition("::")
    if not path.endswith(".py"):
        assert named in EDGES
        return
    text = (ROOT / "tests" / path).read_text("utf-8")
    assert not test or re.search(rf"^def {test}(_|\()", text, re.MULTILINE), f"tests/{path} has no {test}"
