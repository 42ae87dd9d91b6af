"""Alerts beside an engine: who is told is composed here from the project's settings."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from functools import partial

from runner.definition.alert_settings import AlertSettings
from runner.definition.project import Project, find_project
from runner.errors import ConfigError
from runner.monitor.alert_delivery import to_command, to_log, to_webhook
from runner.monitor.alert_watch import AlertWatch, Deliver
from runner.store.ports import Store
from runner.worker.secret import SecretSource, read_secret

log = logging.getLogger("sagarun.alert")


def deliveries(project: Project) -> Sequence[Deliver]:
    """The log always, and what is configured."""
    alerts = project.alerts
    found: list[Deliver] = [to_log]
    if alerts.webhook:
        found.append(partial(to_webhook, url=alerts.webhook, secret=_secret(project) if alerts.secret else None))
    if alerts.command:
        found.append(partial(to_command, command=alerts.command, folder=project.root))
    return found


def _secret(project: Project) -> Callable[[], str]:
    """Read anew each time, so that a file can be rotated."""
    sources = {name: SecretSource(**source) for name, source in project.secrets.items()}
    return lambda: read_secret(project.alerts.secret, sources, str(project.root))


class AlertRules:
    """The rules and who is told, as sagarun.yaml has them by now: it is read again when it has changed."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._deliver = deliveries(project)
        self._stamp = _stamp(project)

    def __call__(self) -> tuple[AlertSettings, Sequence[Deliver]]:
        stamp = _stamp(self._project)
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._project = find_project(self._project.root, self._project.config)
                self._deliver = deliveries(self._project)
                log.info("the alert rules were read again: %d", len(self._project.alerts.rules))
            except ConfigError as error:
                log.error("the alert rules stay as they were: %s", error)
        return self._project.alerts, self._deliver


def _stamp(project: Project) -> tuple[int, int] | None:
    try:
        facts = project.config.stat() if project.config is not None else None
    except OSError:
        return None
    return (facts.st_mtime_ns, facts.st_size) if facts is not None else None


def alert_watch(project: Project, store: Store, stop: threading.Event) -> list[threading.Thread]:
    """The thread that watches, where rules are, or may come to be."""
    return [AlertWatch(store, AlertRules(project), stop)] if project.config is not None else []
