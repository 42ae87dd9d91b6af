"""`sagarun alerts`: the rules of sagarun.yaml, what each finds now, and a try of who is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from runner.cli.failure import Exit
from runner.cli.options import shared_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.cli.screen import Line
    from runner.cli.settings import Settings
    from runner.store.ports import Store


@click.command(short_help="The alert rules, what each finds now, and who is told.")
@click.option("--test", "is_test", is_flag=True, help="Send a test alert; exit code 1 if it did not arrive.")
@shared_options
def command(is_test: bool) -> int:
    """Show each alert rule of sagarun.yaml and what it finds now. Nobody is told: that is what engines do."""
    from runner.cli.access import access, has_runs
    from runner.cli.settings import settings

    chosen = settings()
    alerts = chosen.project.alerts
    if is_test:
        return _try(chosen)
    if not alerts.rules:
        chosen.screen.note("no alert rules: sagarun.yaml has none under `alerts`")
    if not has_runs(chosen):
        if alerts.rules:
            chosen.screen.note(f"nothing was ever run in project {chosen.project.name}")
        if chosen.format == "json":
            chosen.screen.json([])
        return Exit.DONE
    with access(chosen) as reach:
        _show(chosen, reach.client.store)
    return Exit.DONE


def _show(chosen: Settings, store: Store) -> None:
    from runner.cli.wording import columns, moment
    from runner.monitor.alerts import evaluate, observe

    rules = chosen.project.alerts.rules
    observed = observe(store, rules)
    noted = {row.name: row for row in store.alerts()}
    rows: list[dict[str, object]] = []
    lines: list[Sequence[Line | str]] = []
    for rule in rules:
        verdict, row = evaluate(rule, observed), noted.get(rule.name)
        told_at_ms = row.told_at_ms if row is not None else 0
        rows.append({
            "name": rule.name, "when": rule.when, "firing": verdict.firing, "subject": verdict.subject,
            "value": verdict.value, "above": rule.above, "message": verdict.message, "told_at_ms": told_at_ms,
        })
        state: Line = [("firing", "bold red")] if verdict.firing else [("quiet", "green")]
        told = f"told {moment(told_at_ms)}" if told_at_ms else "never told"
        lines.append([state, told, verdict.message])
    if chosen.format == "text":
        for line in columns(lines):
            chosen.screen.data(line)
        return
    for value in rows if chosen.format == "jsonl" else [rows]:
        chosen.screen.json(value)


def _try(chosen: Settings) -> int:
    import time

    from runner.cli.hosting.alerting import deliveries
    from runner.cli.wording import one_line
    from runner.monitor.alert_watch import trial_notice

    chosen.open_log()
    alerts = chosen.project.alerts
    notice = trial_notice(chosen.project.name, int(time.time() * 1_000))
    names = ["log", *(["webhook"] if alerts.webhook else []), *(["command"] if alerts.command else [])]
    arrived = True
    for name, deliver in zip(names, deliveries(chosen.project), strict=True):
        why = deliver(notice)
        sign = ("✘", "red") if why else ("✔", "green")
        chosen.screen.data([sign, (f" {name}{f': {one_line(why)}' if why else ''}", "")])
        arrived = arrived and not why
    return Exit.DONE if arrived else Exit.NEGATIVE
