"""Problems of files, printed."""

from __future__ import annotations

from pathlib import Path

from runner.cli.checking import problems as form
from runner.definition.problem import Problem

ERROR = Problem("a.yaml", 2, 3, "SR102", 'unknown key "stp"', length=3, hint='did you mean "step"?')
WARNING = Problem("a.yaml", 1, 1, "SR300", "careful", severity="warning")


def test_in_full_each_problem_has_its_line_and_a_caret(tmp_path: Path):
    (tmp_path / "a.yaml").write_text("workflow: x\n  stp: 1\n")
    assert form.full([ERROR], tmp_path) == [
        'a.yaml:2:3: error[SR102]: unknown key "stp"',
        "  |",
        "2 |   stp: 1",
        '  |   ^^^ did you mean "step"?',
        "1 error",
    ]


def test_a_file_that_cannot_be_read_is_named_without_its_line(tmp_path: Path):
    assert form.full([ERROR], tmp_path) == [str(ERROR), "1 error"]


def test_what_is_in_no_file_is_given():
    assert "2 | stp" in form.full([ERROR], None, {"a.yaml": "x\nstp"})


def test_they_are_counted_by_severity():
    assert form.total([ERROR, ERROR, WARNING]) == "2 errors, 1 warning"
    assert form.total([]) == "no problems"


def test_a_warning_is_no_error():
    assert form.has_errors([ERROR, WARNING])
    assert not form.has_errors([WARNING])


def test_as_json_every_field_is_there():
    assert form.as_json([ERROR]) == [
        {
            "file": "a.yaml", "line": 2, "column": 3, "code": "SR102", "message": 'unknown key "stp"',
            "severity": "error", "length": 3, "hint": 'did you mean "step"?', "instead": "",
        }
    ]  # fmt: skip
