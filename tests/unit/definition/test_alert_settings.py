"""What `alerts` in sagarun.yaml means, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runner.definition.alert_settings import AlertRule, AlertSettings, read_alerts
from runner.definition.project import find_project
from runner.errors import ConfigError


def rule(**values: Any) -> AlertRule:
    return read_alerts({"rules": [{"name": "a", **values}]}).rules[0]


def test_without_alerts_nothing_is_watched():
    assert read_alerts({}) == AlertSettings()


def test_bounds_are_read_as_each_kind_wants_them():
    assert rule(when="stuck_runs").above == 0
    assert rule(when="stuck_runs", above=3).above == 3
    assert rule(when="error_rate", above="20%").above == 0.2
    assert rule(when="failed_runs", above="2.5%").above == 0.025
    assert rule(when="queue_age", above="5m").above == 300_000
    assert rule(when="latency", above="200ms", workflow="order").above == 200


def test_times_and_receivers_are_read():
    settings = read_alerts({
        "rules": [], "every": "5s", "cool_down": "1h", "webhook": {"url": "https://x", "secret": "KEY"},
        "command": ["page", "me"],
    })
    assert settings == AlertSettings((), 5_000, 3_600_000, "https://x", "KEY", ("page", "me"))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"when": "error_rate"}, "a: error_rate needs `above`"),
        ({"when": "error_rate", "above": 3}, r"a: above is 3; error_rate takes a share \(20%\)"),
        ({"when": "queue_age", "above": "20%"}, r"a: above is '20%'; queue_age takes a duration \(5m\)"),
        ({"when": "stuck_runs", "above": "5m"}, r"stuck_runs takes a whole number \(3\)"),
        ({"when": "error_spike", "above": 3}, "error_spike takes none"),
        ({"when": "queue_age", "above": "5m", "worker": "x"}, "a: queue_age has no 'worker'; it has queue"),
        ({"when": "latency", "above": "5m"}, "latency is of a workflow or of a worker"),
        ({"when": "latency", "above": "5m", "worker": "x", "workflow": "y"}, "name one of the two"),
    ],
)
def test_what_does_not_go_together_is_refused(values: dict[str, Any], expected: str):
    with pytest.raises(ConfigError, match=expected):
        rule(**values)


def test_two_rules_of_one_name_are_refused():
    with pytest.raises(ConfigError, match="two rules have the name 'a'"):
        read_alerts({"rules": [{"name": "a", "when": "stuck_runs"}, {"name": "a", "when": "error_spike"}]})


def test_a_mistake_in_the_file_names_the_file(tmp_path: Path):
    file = tmp_path / "sagarun.yaml"
    file.write_text("alerts: {rules: [{name: a, when: latency, above: 5m}]}\n")
    with pytest.raises(ConfigError, match=f"{file}: alerts: a: latency"):
        find_project(tmp_path)
    file.write_text("alerts: {rules: [{name: a, when: slow, above: 5m}]}\n")
    with pytest.raises(ConfigError, match="slow"):
        find_project(tmp_path)
