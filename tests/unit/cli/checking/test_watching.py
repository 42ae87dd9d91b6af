"""What doctor says of alert rules that can find nothing, of who is told, and of the archive."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runner.archive.archive import Archive
from runner.archive.database import open_database
from runner.cli.checking.watching import LATE_MS, alert_findings, archive_findings, known_names
from runner.definition.alert_settings import AlertRule, AlertSettings
from runner.definition.project import MonitorSettings, Project
from runner.engine.engine import Engine
from runner.store.ports import HELD_MS
from tests.desk import Desk

STUCK = AlertRule("stuck", "stuck_runs")


def said(root: Path, *rules: AlertRule, **settings: Any) -> list[tuple[str, str]]:
    figures = settings.pop("figures", True)
    project = Project(root=root, alerts=AlertSettings(rules, **settings), monitor=MonitorSettings(figures=figures))
    found = alert_findings(project, {"order"}, {"card.charge"}, {"cards"})
    return [(verdict, text) for _, verdict, text, _ in found]


def test_rules_that_can_fire_are_counted(tmp_path: Path):
    rules = (STUCK, AlertRule("x", "error_rate", 0.2, worker="card.charge"), AlertRule("y", "queue_age", queue="cards"))
    assert said(tmp_path, *rules) == [("ok", "3 rules, told to the log; `sagarun alerts --test` tries it")]
    assert said(tmp_path) == [("ok", "no rules: nobody is told of stuck runs")]


@pytest.mark.parametrize(("rule", "why"), [
    (replace(STUCK, workflow="ordre"), "workflow 'ordre', which is not known here. Did you mean \"order\"?"),
    (AlertRule("x", "error_rate", 0.2, worker="card.charg"), "worker 'card.charg', which is not known"),
    (AlertRule("x", "queue_age", 9.0, queue="card.charge"), "queue 'card.charge', which is not known"),
    (AlertRule("x", "failed_runs", 1.0), "never fires: no share is above 100%"),
])  # fmt: skip
def test_a_rule_that_can_find_nothing_is_told(tmp_path: Path, rule: AlertRule, why: str):
    ((verdict, text),) = said(tmp_path, rule)
    assert verdict == "warning"
    assert why in text


def test_rules_that_go_by_figures_need_them(tmp_path: Path):
    assert "figures: false" in said(tmp_path, STUCK, figures=False)[0][1]
    assert said(tmp_path, AlertRule("x", "queue_age", 9.0), figures=False)[0][0] == "ok"


def test_who_cannot_be_told_is_a_problem(tmp_path: Path):
    assert said(tmp_path, STUCK, command=("./page",)) == [("problem", "there is no program ./page to be told")]
    ((verdict, text),) = said(tmp_path, STUCK, webhook="https://x", secret="KEY")
    assert (verdict, "cannot be signed: there is no secret 'KEY'" in text) == ("problem", True)


def archive_said(desk: Desk, root: Path, url: str = "sqlite:///a.db") -> tuple[str, str]:
    settings: Any = SimpleNamespace(project=Project(root=root, name="desk", archive=url))
    ((_, verdict, text, _),) = archive_findings(settings, desk.store)
    return verdict, text


def test_an_archive_that_can_be_written_is_well(tmp_path: Path):
    desk = Desk(tmp_path)
    assert archive_said(desk, tmp_path) == ("ok", f"{tmp_path}/a.db, nothing is in it yet")
    Archive(open_database("sqlite:///a.db", tmp_path), "desk").close()
    assert archive_said(desk, tmp_path) == ("ok", f"{tmp_path}/a.db can be read and written")
    assert not list(archive_findings(SimpleNamespace(project=Project(root=tmp_path)), None))  # type: ignore[arg-type]


def test_an_archive_that_is_away_is_a_problem_and_its_password_is_not_told(tmp_path: Path):
    (tmp_path / "a.db").write_text("no database")
    assert archive_said(Desk(tmp_path), tmp_path)[0] == "problem"
    url = "postgresql+psycopg://me:hunter2@127.0.0.1:1/runs"
    verdict, text = archive_said(Desk(tmp_path), tmp_path, url)
    assert (verdict, "hunter2" in text) == ("problem", False)


def test_runs_that_wait_for_the_archive_are_told(tmp_path: Path):
    desk = Desk(tmp_path)
    desk._engine = Engine(desk.store, process_id="host:1:engine", retention_of=lambda _status: HELD_MS)
    desk.run()
    desk.clock.advance(LATE_MS)
    verdict, text = archive_said(desk, tmp_path)
    assert verdict == "warning"
    assert "but 1 run wait" in text


def test_workflows_are_known_by_their_files_also_if_one_is_broken(tmp_path: Path):
    folder = tmp_path / "definitions"
    folder.mkdir()
    (folder / "a.yaml").write_text("workflow: order\n")
    (folder / "b.yaml").write_text("workflow: [")
    assert known_names(Project(root=tmp_path)) == {"order"}
