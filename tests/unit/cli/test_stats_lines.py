"""Statistics as text: what did something, what is wrong, and no more."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.cli.screen import plain
from runner.cli.stats_lines import queue_rows, stats_lines
from runner.cli.wording import columns
from runner.monitor.performance import read_queues, read_stats
from tests.desk import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    for number, fail in enumerate(["", "broken", "broken"]):
        desk.run(id=f"A-{number}", fail=fail)
    return desk


def text(desk: Desk, *, verbose: bool = False) -> str:
    return "\n".join(plain(line) for line in stats_lines(read_stats(desk.store), verbose=verbose))


def test_workflows_workers_queues_and_problems_are_shown(desk: Desk):
    told = text(desk)
    for expected in ("workflow", "order", "3", "1 completed", "2 compensated", "card.charge", "failing", "RuntimeError",
                     "! card.charge: 86% of its attempts ended in technical errors", "sagarun show "):
        assert expected in told


def test_an_answer_of_a_worker_is_no_problem_of_it(desk: Desk):
    desk.run(id="B", fail="declined")
    problems = text(desk).partition("! card.charge")[2].partition("best workers")[0]
    assert "RuntimeError: the line went dead" in problems
    assert "declined" not in problems


def test_the_rule_of_health_is_told_where_it_is_asked_for(desk: Desk):
    assert "health: failing:" not in text(desk)
    assert "health: failing:" in text(desk, verbose=True)


def test_a_store_in_which_nothing_ran_has_empty_tables(tmp_path: Path):
    told = text(Desk(tmp_path))
    assert "none has run" in told
    assert "no worker has a problem" in told


def test_queues_in_which_nothing_happens_are_only_counted(desk: Desk):
    desk.clock.advance(2 * 3_600_000)
    rows = columns(list(queue_rows(read_queues(desk.store))))
    assert plain(rows[0]).startswith("  nothing waits or runs in")
    assert len(columns(list(queue_rows(read_queues(desk.store), verbose=True)))) > 2
