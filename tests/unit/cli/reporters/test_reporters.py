"""The forms that other programs read, each held to what reads it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import junitparser
import pytest
import sarif_pydantic

from runner.cli.reporters import github, gitlab, junit, sarif
from runner.definition.problem import Problem

EVIL = "100%, \n::stop-commands::x \x1b[31m <b>&\ud83d</b>".encode(errors="replace").decode()
ERROR = Problem("definitions/a b.yaml", 2, 3, "SR204", f'no step "chrage" {EVIL}', length=6, hint='not "charge"?')
WARNING = Problem("definitions/c.yaml", 1, 1, "SR314", "careful", severity="warning")
FILES = [Path("definitions/a b.yaml"), Path("definitions/c.yaml"), Path("definitions/good.yaml")]
COMMAND = re.compile(r"::(error|warning|notice) ([a-zA-Z]+=[^,:]*,?)+::.+")


def test_github_has_a_command_a_finding_and_nothing_that_ends_it_early():
    lines = list(github.report([ERROR, WARNING], FILES))
    assert all(COMMAND.fullmatch(line) for line in lines)
    assert lines[0].startswith(
        "::error file=definitions/a b.yaml,line=2,col=3,endColumn=9,title=sagarun SR204::no step \"chrage\" 100%25, %0A"
    )
    assert lines[1] == "::warning file=definitions/c.yaml,line=1,col=1,endColumn=2,title=sagarun SR314::careful"


def test_gitlab_has_every_member_that_a_code_quality_report_needs():
    entries = json.loads("".join(gitlab.report([ERROR, WARNING], FILES)))
    assert [set(entry) for entry in entries] == [
        {"description", "check_name", "fingerprint", "severity", "location"}
    ] * 2
    assert [entry["severity"] for entry in entries] == ["critical", "minor"]
    assert entries[0]["location"] == {"path": "definitions/a b.yaml", "lines": {"begin": 2}}


def test_a_gitlab_fingerprint_outlives_a_move_and_tells_equal_findings_apart():
    def prints(*lines: int) -> list[str]:
        moved = [Problem("c.yaml", line, 1, "SR314", "careful", severity="warning") for line in lines]
        return [entry["fingerprint"] for entry in json.loads("".join(gitlab.report(moved, [])))]

    assert prints(1, 5) == prints(3, 9)
    assert len(set(prints(1, 5))) == 2


def test_junit_has_a_case_a_file_that_fails_by_its_errors():
    text = "\n".join(junit.report([ERROR, WARNING], FILES))
    (suite,) = junitparser.JUnitXml.fromstring(text.encode())
    assert (suite.tests, suite.failures, suite.errors) == (3, 1, 0)
    assert [(case.name, bool(case.result)) for case in suite] == [
        ("definitions/a b.yaml", True), ("definitions/c.yaml", False), ("definitions/good.yaml", False)
    ]  # fmt: skip
    assert "SR204" in ElementTree.fromstring(text).findtext(".//failure", "")
    assert "SR314" in ElementTree.fromstring(text).findtext(".//system-out", "")


@pytest.mark.parametrize("problems", [[], [ERROR], [ERROR, WARNING]])
def test_sarif_fits_its_schema(problems: list[Problem]):
    log = sarif_pydantic.Sarif.model_validate_json("".join(sarif.report(problems, FILES)))
    (run,) = log.runs
    assert run.tool.driver.name == "sagarun"
    assert [result.rule_id for result in run.results or []] == [problem.code for problem in problems]


def test_sarif_says_where_and_which_rule():
    (run,) = json.loads("".join(sarif.report([WARNING, ERROR], FILES)))["runs"]
    warned, failed = run["results"]
    rules = run["tool"]["driver"]["rules"]
    assert [rules[result["ruleIndex"]]["id"] for result in (warned, failed)] == ["SR314", "SR204"]
    assert [result["level"] for result in (warned, failed)] == ["warning", "error"]
    place = failed["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "definitions/a%20b.yaml"
    assert place["region"] == {"startLine": 2, "startColumn": 3, "endColumn": 9}
