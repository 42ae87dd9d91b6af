"""Looks at the alert rules again and again, beside an engine. Any number may: the store says which of them tells.

Rule: who was chosen to tell tells; what the receivers make of that is logged, and is not tried for ever.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Sequence

from runner.definition.alert_settings import AlertRule, AlertSettings
from runner.errors import SagarunError
from runner.monitor.alert_delivery import Notice
from runner.monitor.alerts import Verdict, evaluate, observe
from runner.store.ports import Store

log = logging.getLogger("sagarun.alert")

Deliver = Callable[[Notice], str]


def look(store: Store, settings: AlertSettings, deliver: Sequence[Deliver]) -> list[Verdict]:
    """Evaluate every rule once, and tell what nobody else has told. Raises StoreError."""
    observed = observe(store, settings.rules)
    verdicts = [evaluate(rule, observed) for rule in settings.rules]
    for verdict in verdicts:
        _note(store, settings, verdict, observed.ever.until_ms, deliver)
    _forget_others(store, {rule.name for rule in settings.rules})
    return verdicts


def _note(store: Store, settings: AlertSettings, verdict: Verdict, now_ms: int, deliver: Sequence[Deliver]) -> None:
    nonce, rule = secrets.token_hex(8), verdict.rule
    tell = store.note_alert(
        rule.name, nonce, firing=verdict.firing, cool_down_ms=settings.cool_down_ms, body=verdict.message.encode()
    )
    if tell:
        notice = notice_of(store.namespace, verdict, nonce, now_ms)
        for each in deliver:
            each(notice)


def notice_of(project: str, verdict: Verdict, nonce: str, now_ms: int) -> Notice:
    rule = verdict.rule
    return Notice(
        nonce, rule.name, "firing" if verdict.firing else "resolved", verdict.message, project, rule.when,
        verdict.subject, verdict.value, rule.above, now_ms,
    )


def _forget_others(store: Store, names: set[str]) -> None:
    """Rules that are not there any more fire no longer; nobody needs to be told."""
    for row in store.alerts():
        if row.firing and row.name not in names:
            store.note_alert(row.name, secrets.token_hex(8), firing=False, cool_down_ms=0, body=row.body)


def trial_notice(project: str, now_ms: int) -> Notice:
    """For trying out whether what is configured arrives."""
    rule = AlertRule("test", "stuck_runs")
    return Notice(
        secrets.token_hex(8), rule.name, "firing", "a test alert: somebody asked for it", project, "test", "", None,
        0.0, now_ms,
    )


class AlertWatch(threading.Thread):
    """Until `stop` is set."""

    def __init__(
        self, store: Store, rules: Callable[[], tuple[AlertSettings, Sequence[Deliver]]], stop: threading.Event
    ) -> None:
        """`rules`: as they are now, with those who are told."""
        super().__init__(name="sagarun-alerts", daemon=True)
        self._store = store
        self._rules = rules
        self._stop_event = stop

    def run(self) -> None:
        settings, deliver = self._rules()
        while not self._stop_event.wait(settings.every_ms / 1_000):
            try:
                settings, deliver = self._rules()
                look(self._store, settings, deliver)
            except SagarunError as error:
                log.warning("the alerts could not be looked at: %s", error)
            except Exception:
                log.exception("the alerts could not be looked at")
