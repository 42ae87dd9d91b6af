"""What other repositories use of this one in their CI: the pre-commit hook and the GitHub Action."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner.definition.problem import Problem, Severity
from tests.project.repository import ROOT
from tests.servers import PATIENCE_S

MATCHERS = json.loads((ROOT / ".github/sagarun-matcher.json").read_text())["problemMatcher"]


def run_script(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """As a runner would, with the `sagarun` of this environment."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), **environment},
        cwd=ROOT, capture_output=True, text=True, timeout=4 * PATIENCE_S, check=False,
    )  # fmt: skip


def action() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
    return read


def test_the_hook_checks_the_files_it_is_given():
    hooks = {hook["id"]: hook for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())}
    done = run_script(f"{hooks['sagarun-validate']['entry']} definitions/order.yaml definitions/returns.yaml")
    assert (done.returncode, done.stderr) == (0, "no problems in 2 files\n")


def test_the_hook_formats_the_files_it_is_given(tmp_path: Path):
    hooks = {hook["id"]: hook for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())}
    loose = tmp_path / "a.yaml"
    loose.write_text("version:  1.0.0\nworkflow: a\nsteps: []\n")
    done = run_script(f"{hooks['sagarun-fmt']['entry']} definitions/order.yaml {shlex.quote(str(loose))}")
    assert done.returncode == 0
    assert loose.read_text() == "workflow: a\nversion: 1.0.0\nsteps: []\n"


def test_the_shipped_definitions_are_in_the_canonical_form():
    done = run_script("sagarun fmt --check definitions")
    assert (done.returncode, done.stderr) == (0, "10 files left as they are\n")


def test_the_action_annotates_what_it_finds(tmp_path: Path):
    wrong = tmp_path / "a.yaml"
    wrong.write_text("workflow: a\nversion: 1.0.0\nstepz: [{set: {}}]\n")
    done = run_script(
        action()["runs"]["steps"][-1]["run"], PATHS=shlex.quote(str(wrong)), ARGS="--no-workers",
        FORMAT=action()["inputs"]["format"]["default"], GITHUB_ACTION_PATH=str(ROOT), GITHUB_ACTIONS="true",
    )  # fmt: skip
    assert done.returncode == 1
    first, finding, *last = done.stdout.splitlines()
    assert Path(first.removeprefix("::add-matcher::")).is_file()
    assert annotation(finding) == {
        "file": str(wrong), "line": "3", "column": "1", "severity": "error", "code": "SR102",
        "message": 'unknown key "stepz" (did you mean "steps"?)',
    }  # fmt: skip
    assert last == [f"::remove-matcher owner={each['owner']}::" for each in MATCHERS]


def annotation(line: str) -> dict[str, str]:
    """What GitHub makes of a line of the log: {} for one that no matcher takes."""
    found = [(matcher, re.search(matcher["pattern"][0]["regexp"], line)) for matcher in MATCHERS]
    taken = [(matcher, match) for matcher, match in found if match]
    assert len(taken) < 2, line
    if not taken:
        return {}
    ((matcher, match),) = taken
    groups = {name: match[number] for name, number in matcher["pattern"][0].items() if name != "regexp"}
    return {"severity": matcher.get("severity", ""), **groups}


@pytest.mark.parametrize("severity", ["error", "warning", "info"])
def test_every_line_of_the_concise_form_is_an_annotation(severity: Severity):
    problem = Problem("a b/c:1.yaml", 12, 3, "SR204", "no step: [x] in 1:2: error", severity, hint="did you mean (y)?")
    assert annotation(str(problem)) == {
        "file": "a b/c:1.yaml", "line": "12", "column": "3", "code": "SR204",
        "severity": "notice" if severity == "info" else severity,  # GitHub knows no info
        "message": "no step: [x] in 1:2: error (did you mean (y)?)",
    }  # fmt: skip


def test_no_other_line_of_validate_is_an_annotation():
    done = run_script("cd definitions; for each in order.yaml --help nowhere; do sagarun validate $each || true; done")
    assert [line for line in [*done.stdout.splitlines(), *done.stderr.splitlines()] if annotation(line)] == []


def test_what_is_given_to_the_action_is_never_part_of_a_script():
    for step in action()["runs"]["steps"]:
        assert "${{" not in step.get("run", "")


def test_an_input_of_the_action_is_no_command(tmp_path: Path):
    script = action()["runs"]["steps"][-1]["run"]
    paths, form = f"$(touch {tmp_path}/there); touch {tmp_path}/here", f"$(touch {tmp_path}/x)"
    run_script(script, PATHS=paths, ARGS="`touch there`", FORMAT=form)
    assert list(tmp_path.iterdir()) == []
