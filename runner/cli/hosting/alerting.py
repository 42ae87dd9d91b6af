"""Alerts beside an engine: who is told is composed here from the project's settings."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial

from runner.definition.project import Project
from runner.monitor.alert_delivery import Notice, to_command, to_log, to_webhook
from runner.monitor.alert_watch import AlertWatch
from runner.store.ports import Store
from runner.worker.secret import SecretSource, read_secret


def deliveries(project: Project) -> Sequence[Callable[[Notice], object]]:
    """The log always, and what is configured."""
    alerts = project.alerts
    found: list[Callable[[Notice], object]] = [to_log]
    if alerts.webhook:
        found.append(partial(to_webhook, url=alerts.webhook, secret=_secret(project) if alerts.secret else None))
    if alerts.command:
        found.append(partial(to_command, command=alerts.command, folder=project.root))
    return found


def _secret(project: Project) -> Callable[[], str]:
    """Read anew each time, so that a file can be rotated."""
    sources = {name: SecretSource(**source) for name, source in project.secrets.items()}
    return lambda: read_secret(project.alerts.secret, sources, str(project.root))


def alert_watch(project: Project, store: Store, stop: threading.Event) -> list[threading.Thread]:
    """The thread that watches, where there is something to watch."""
    if not project.alerts.rules:
        return []
    return [AlertWatch(store, project.alerts, deliveries(project), stop)]
