"""No module and no function outgrows what can be read at once; each exception is listed here, with its reason."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.project.repository import files, relative

MODULE_LINES = 500
FUNCTION_LINES = 70

# "runner/x.py" or "runner/x.py:function" -> why it may be longer. Take an entry out when it no longer is.
EXCEPTIONS: dict[str, str] = {}

SOURCE = ("runner", "workers", "benchmarks")


def modules() -> list[Path]:
    found = list(files(*SOURCE, suffix=".py"))
    assert len(found) > 40, "the walk has lost its way"
    return found


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Name and length of every function; its docstring does not count, or good ones would be cut short."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = span(node.body[0]) if ast.get_docstring(node) else 0
            yield node.name, span(node) - docstring


def span(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def oversized() -> set[str]:
    found = set()
    for path in modules():
        if path.read_text(encoding="utf-8").count("\n") > MODULE_LINES:
            found.add(relative(path))
        found |= {f"{relative(path)}:{name}" for name, lines in functions(path) if lines > FUNCTION_LINES}
    return found


def test_modules_and_functions_stay_readable():
    assert sorted(oversized() - set(EXCEPTIONS)) == []


def test_every_listed_exception_is_still_one():
    assert sorted(set(EXCEPTIONS) - oversized()) == []


def test_every_module_says_what_it_is():
    missing = [
        relative(path)
        for path in [*modules(), *files("tests", suffix=".py")]
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert missing == []


def test_no_module_is_called_by_what_it_is_not():
    """A name such as utils says that whoever wrote it did not decide where the code belongs."""
    vague = {"utils", "util", "common", "helpers", "helper", "manager", "misc"}
    assert [relative(path) for path in modules() if path.stem in vague] == []
