"""Engines take alert rules from sagarun.yaml as it is by now."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.cli.hosting.alerting import AlertRules
from runner.definition.project import find_project

RULES = "alerts: {rules: [{name: stuck, when: stuck_runs}]}\n"


def test_rules_that_change_hold_from_then_on(tmp_path: Path):
    file = tmp_path / "sagarun.yaml"
    file.write_text("project: shop\n")
    rules = AlertRules(find_project(tmp_path))
    assert rules()[0].rules == ()
    file.write_text(f"{RULES}\n# more")
    assert [rule.name for rule in rules()[0].rules] == ["stuck"]
    file.write_text(RULES.replace("alerts: {", "alerts: {command: [page], "))
    settings, deliver = rules()
    assert settings.command == ("page",)
    assert len(deliver) == 2


def test_rules_that_are_wrong_change_nothing_and_that_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    file = tmp_path / "sagarun.yaml"
    file.write_text(RULES)
    rules = AlertRules(find_project(tmp_path))
    file.write_text("alerts: {rulez: []}\n")
    for _ in range(2):
        assert [rule.name for rule in rules()[0].rules] == ["stuck"]
    assert caplog.text.count("the alert rules stay as they were") == 1
    file.unlink()
    assert [rule.name for rule in rules()[0].rules] == ["stuck"]
