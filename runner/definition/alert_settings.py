"""The alerts of sagarun.yaml as they are meant: durations and shares read, defaults filled in.

The schema says what may stand there; what it cannot say (which rule needs what) is refused here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runner.definition.duration import parse_duration
from runner.errors import ConfigError

WINDOWS = {"1m": 60_000, "15m": 900_000, "1h": 3_600_000, "24h": 86_400_000}
DEFAULT_EVERY, DEFAULT_COOL_DOWN, DEFAULT_WINDOW = "15s", "15m", "15m"
DEFAULT_LEAST, DEFAULT_PERCENTILE = 10, 95
# What each looks at, and how `above` is written there.
KINDS = {
    "stuck_runs": "number", "failed_runs": "share", "error_rate": "share", "latency": "duration",
    "queue_age": "duration", "error_spike": "",
}  # fmt: skip
_FILTERS = {
    "stuck_runs": {"workflow"}, "failed_runs": {"workflow", "window", "least"}, "queue_age": {"queue"},
    "error_rate": {"workflow", "worker", "window", "least"}, "error_spike": {"workflow", "worker"},
    "latency": {"workflow", "worker", "window", "least", "percentile"},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class AlertRule:
    """`above` is a count, a share (0.2) or milliseconds, as `when` wants it. A filter that is "" lets everything in."""

    name: str
    when: str
    above: float = 0.0
    workflow: str = ""
    worker: str = ""
    queue: str = ""
    window: str = DEFAULT_WINDOW
    least: int = DEFAULT_LEAST  # of what is counted; fewer say nothing
    percentile: int = DEFAULT_PERCENTILE


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """Nobody is told of anything without rules. Where nothing else is named, alerts are in the log only."""

    rules: tuple[AlertRule, ...] = ()
    every_ms: int = 15_000
    cool_down_ms: int = 900_000
    webhook: str = ""
    secret: str = ""  # the name of the one that signs what is sent there
    command: tuple[str, ...] = ()


def read_alerts(values: Mapping[str, Any]) -> AlertSettings:
    """What stands under `alerts`. Raises ConfigError."""
    rules = tuple(_rule(each) for each in values.get("rules", ()))
    names = [rule.name for rule in rules]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(f"alerts: two rules have the name {twice!r}")
    webhook = values.get("webhook", {})
    try:
        return AlertSettings(
            rules, max(1_000, parse_duration(values.get("every", DEFAULT_EVERY))),
            parse_duration(values.get("cool_down", DEFAULT_COOL_DOWN)), webhook.get("url", ""),
            webhook.get("secret", ""), tuple(values.get("command", ())),
        )
    except ValueError as error:
        raise ConfigError(f"alerts: {error}") from None


def _rule(values: Mapping[str, Any]) -> AlertRule:
    name, when = values["name"], values["when"]
    stray = values.keys() - _FILTERS[when] - {"name", "when", "above"}
    if stray:
        known = ", ".join(sorted(_FILTERS[when]))
        raise ConfigError(f"alerts: {name}: {when} has no {sorted(stray)[0]!r}; it has {known}")
    if when == "latency" and bool(values.get("workflow")) is bool(values.get("worker")):
        raise ConfigError(f"alerts: {name}: latency is of a workflow or of a worker; name one of the two")
    above = values.get("above")
    if above is None and when not in ("stuck_runs", "error_spike"):
        raise ConfigError(f"alerts: {name}: {when} needs `above`")
    chosen = {key: value for key, value in values.items() if key != "above"}
    return AlertRule(**chosen, above=_above(name, when, above))


def _above(name: str, when: str, above: Any) -> float:
    kind = KINDS[when]
    try:
        if above is None:
            return 0.0
        if kind == "number" and isinstance(above, int):
            return float(above)
        if kind == "share" and isinstance(above, str) and above.endswith("%"):
            return float(above[:-1]) / 100
        if kind == "duration" and isinstance(above, str):
            return float(parse_duration(above))
    except ValueError:
        pass
    wanted = {"number": "a whole number (3)", "share": "a share (20%)", "duration": "a duration (5m)"}.get(kind)
    raise ConfigError(f"alerts: {name}: above is {above!r}; {when} takes {wanted or 'none'}")
