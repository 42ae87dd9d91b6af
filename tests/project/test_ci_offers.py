"""What other repositories use of this one in their CI: the pre-commit hook and the GitHub Action."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.project.repository import ROOT


def run_script(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """As a runner would, with the `sagarun` of this environment."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), **environment},
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
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
    wrong.write_text("workflow: a\nversion: 1.0.0\nstepz: []\n")
    done = run_script(action()["runs"]["steps"][-1]["run"], PATHS=shlex.quote(str(wrong)), ARGS="--no-workers")
    assert done.returncode == 1
    assert "::error file=" in done.stdout


def test_what_is_given_to_the_action_is_never_part_of_a_script():
    for step in action()["runs"]["steps"]:
        assert "${{" not in step.get("run", "")


def test_an_input_of_the_action_is_no_command(tmp_path: Path):
    script = action()["runs"]["steps"][-1]["run"]
    run_script(script, PATHS=f"$(touch {tmp_path}/there); touch {tmp_path}/here", ARGS="`touch there`")
    assert list(tmp_path.iterdir()) == []
