"""What `doctor` says of those who look on while nobody does: the alert rules, who is told, and the archive.

Rule: nothing is sent and no run is touched. The archive is written to in a way that changes nothing.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Literal

from runner.cli.failure import did_you_mean
from runner.cli.settings import Settings
from runner.cli.wording import duration, plural
from runner.definition.alert_settings import AlertRule
from runner.definition.project import Project
from runner.errors import ArchiveUnavailable, ConfigError, SagarunError
from runner.store.ports import Store
from runner.worker.secret import SecretSource, read_secret

Said = tuple[str, Literal["ok", "warning", "problem"], str, str]  # topic, verdict, text, hint
LATE_MS = 60_000  # a run that is over is in the archive within seconds
_COUNTED = ("stuck_runs", "failed_runs", "error_rate", "latency")


def alert_findings(project: Project, workflows: Collection[str], workers: Collection[str], queues: Collection[str]
                   ) -> Iterator[Said]:  # fmt: skip
    """Rules that can find nothing, and receivers that cannot be told."""
    rules = project.alerts.rules
    if not rules:
        yield "alerts", "ok", "no rules: nobody is told of stuck runs", ""
        return
    idle = [why for rule in rules for why in _idle(rule, project, workflows, workers, queues)]
    broken = list(_receivers(project))
    for text, hint in broken:
        yield "alerts", "problem", text, hint
    for text in idle:
        yield "alerts", "warning", text, "mend the rule in sagarun.yaml"
    if not idle and not broken:
        told = ["the log", *(["a webhook"] if project.alerts.webhook else []),
                *(["a command"] if project.alerts.command else [])]  # fmt: skip
        text = f"{plural(len(rules), 'rule')}, told to {', '.join(told)}; `sagarun alerts --test` tries it"
        yield "alerts", "ok", text, ""


def _idle(
    rule: AlertRule, project: Project, workflows: Collection[str], workers: Collection[str], queues: Collection[str]
) -> Iterator[str]:
    """Why it can never fire."""
    for kind, name, known in (
        ("workflow", rule.workflow, workflows), ("worker", rule.worker, workers), ("queue", rule.queue, queues)
    ):
        if name and name not in known:
            yield f"rule {rule.name} is about {kind} {name!r}, which is not known here.{did_you_mean(name, known)}"
    if rule.when in _COUNTED and not project.monitor.figures:
        yield f"rule {rule.name} never fires: it goes by figures, which `monitor: {{figures: false}}` switches off"
    if rule.when in ("failed_runs", "error_rate") and rule.above >= 1:
        yield f"rule {rule.name} never fires: no share is above {rule.above:.0%}"


def _receivers(project: Project) -> Iterator[tuple[str, str]]:
    alerts = project.alerts
    if alerts.webhook and alerts.secret:
        sources = {name: SecretSource(**source) for name, source in project.secrets.items()}
        try:
            read_secret(alerts.secret, sources, str(project.root))
        except Exception as error:  # whatever it is, the engines would meet it too
            yield f"the webhook's requests cannot be signed: {error}", "engines read the secret where they run"
    if alerts.command and not _program(alerts.command[0], project.root):
        yield f"there is no program {alerts.command[0]} to be told", "alerts: command is looked for from the project on"


def _program(name: str, root: Path) -> bool:
    return os.access(root / name, os.X_OK) if "/" in name else shutil.which(name) is not None


def archive_findings(settings: Settings, store: Store | None) -> Iterator[Said]:
    """Whether it can be reached and written, and whether runs wait for it. Nothing, where there is none."""
    url, root = settings.project.archive, settings.project.root
    if not url:
        return
    from runner.archive.archive import Archive
    from runner.archive.database import file_of, open_database

    path = file_of(url, root)
    try:
        if path is not None and not path.exists():
            folder = next(above for above in path.parents if above.exists())
            if not os.access(folder, os.W_OK):
                raise ArchiveUnavailable(f"the archive {path}: {folder} cannot be written")
            text = f"{path}, nothing is in it yet"
        else:
            archive = Archive(open_database(url, root), settings.project.namespace)
            try:
                archive.try_writing()
            finally:
                archive.close()
            text = f"{path or url.partition(':')[0]} can be read and written"
    except (ArchiveUnavailable, ConfigError) as error:
        yield "archive", "problem", str(error), "runs stay on the server until it is back; nothing is lost"
        return
    yield from _waiting(text, store)


def _waiting(text: str, store: Store | None) -> Iterator[Said]:
    ended = store.ended_runs(limit=1_000) if store is not None else []
    late = [at_ms for _, at_ms in ended if store is not None and store.now_ms() - at_ms > LATE_MS]
    if store is None or not late:
        yield "archive", "ok", text, ""
        return
    since = duration(store.now_ms() - min(late))
    many = f"{len(late):,}{' or more' if len(ended) == 1_000 else ''} {'run' if len(late) == 1 else 'runs'}"
    yield "archive", "warning", f"{text}, but {many} wait to be copied, for {since}", (
        "an engine copies them, and its log says why one cannot be; `sagarun archive` copies them now"
    )


def known_names(project: Project) -> set[str]:
    """The workflows of the project's folder, as far as their files can be read."""
    from runner.definition.source import read_file

    found = set()
    for path in sorted(project.definitions.glob("*.y*ml")):
        try:
            value = read_file(path, path.name).value
        except SagarunError:
            continue
        if isinstance(value, dict) and isinstance(value.get("workflow"), str):
            found.add(value["workflow"])
    return found
