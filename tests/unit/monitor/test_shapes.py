"""What can be asked of a run that is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.cli.story.reading import read_view
from tests.desk import EVERYTHING, Desk

SOON_MS = 5_000


@pytest.fixture
def wide(tmp_path: Path) -> Desk:
    return Desk(tmp_path, EVERYTHING)


def only_waits(desk: Desk, run_id: str) -> bool:
    return read_view(desk.client, run_id).only_waits(desk.clock(), SOON_MS)


def test_a_run_only_waits_while_nothing_moves_and_nothing_is_due(wide: Desk):
    run_id = wide.client.start(wide.definition).id
    assert not only_waits(wide, run_id)  # nobody has looked at it yet
    wide.work()
    assert only_waits(wide, run_id)
    wide.client.signal(run_id, "review", {"approved": True}, timeout=0)
    assert not only_waits(wide, run_id)  # the signal is in its inbox
    wide.work()
    assert only_waits(wide, run_id)  # for its pause of days
    wide.clock.advance(3 * 86_400_000 - SOON_MS // 2)
    assert not only_waits(wide, run_id)  # which is soon over
    wide.wait(SOON_MS)
    assert not only_waits(wide, run_id)  # it is completed


def test_a_run_with_a_task_that_nobody_took_moves(tmp_path: Path):
    desk = Desk(tmp_path)
    run_id = desk.start().id
    desk._engine.step()
    assert not only_waits(desk, run_id)


def test_a_pause_between_attempts_is_soon_over(tmp_path: Path):
    desk = Desk(tmp_path)
    run_id = desk.start(fail="broken").id
    desk.work()
    assert not only_waits(desk, run_id)


def test_the_step_that_failed_is_the_item_that_did(tmp_path: Path):
    text = """
workflow: items
version: 1.0.0
steps:
  - id: cards
    for_each: {in: ["", declined], as: how, steps: [
      {id: pay, worker: card.charge, with: {amount: 1, fail: "{{ how }}"}, raises: [declined],
       compensate: {worker: card.refund}}]}
"""
    desk = Desk(tmp_path, text)
    run_id = desk.client.start(desk.definition).id
    desk.work()
    failed = read_view(desk.client, run_id).failed_step
    assert failed is not None
    assert (failed.path, failed.item_path) == ("cards#1/pay", (1,))
