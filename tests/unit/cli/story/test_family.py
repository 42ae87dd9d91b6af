"""The stories of a run and of the runs below it, told as one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runner.cli.screen import plain
from runner.cli.story.family import AT_ONCE, Family, read_family
from runner.cli.story.reading import read_events
from runner.cli.story.report import signal_lines
from runner.cli.story.tree import step_lines
from runner.errors import StoreUnavailable
from runner.interpreter import event as ev
from tests.desk import ORDER, Desk, desk_of_a_parent

LOOP = """
workflow: loop
version: 1.0.0
input: {type: object, properties: {id: {type: string}, items: {type: array}}}
steps:
  - id: each
    for_each:
      in: "{{ input.items }}"
      as: n
      max_parallel: 50
      steps: [{id: sub, subworkflow: child, with: {n: "{{ n }}"}}]
  - {id: last, worker: stock.reserve, with: {id: last}, kind: readonly}
"""
CHILD = """
workflow: child
version: 1.0.0
input: {type: object, properties: {n: {type: integer}}}
steps:
  - {id: hold, worker: stock.reserve, with: {id: "{{ input.n | string }}"}, compensate: {worker: card.refund}}
  - {id: go, when: "{{ input.n == 0 }}", wait_for: {signal: go}}
"""


@pytest.fixture
def loop(tmp_path: Path) -> Desk:
    (tmp_path / "child.yaml").write_text(CHILD)
    return Desk(tmp_path, LOOP)


def told(desk: Desk, run_id: str) -> list[str]:
    return [plain(line) for news in Family(desk.client, run_id).news() for line in news.lines]


def words(desk: Desk, run_id: str) -> list[str]:
    """Of each line its symbol and its step."""
    return [" ".join(line.split()[:2]) for line in told(desk, run_id)]


def test_what_a_child_does_is_told_where_it_happens(tmp_path: Path):
    desk = desk_of_a_parent(tmp_path)
    assert words(desk, desk.run()) == [
        "· sub", "✓ sub/reserve", "- sub/gift", "✓ sub/charge", "✓ sub", "✓ last",
    ]  # fmt: skip


def test_what_a_child_undoes_is_told_with_its_name(tmp_path: Path):
    desk = desk_of_a_parent(tmp_path)
    lines = words(desk, desk.run(last="declined"))
    assert lines[lines.index("✗ last") :] == [
        "✗ last", "↩ undoing", "↩ sub:", "✓ sub/charge", "✓ sub/reserve", "✓ sub",
    ]  # fmt: skip


def test_children_are_read_on_with_their_parent(tmp_path: Path):
    desk = desk_of_a_parent(tmp_path)
    handle = desk.start()
    family = Family(desk.client, handle.id)
    seen: list[str] = []
    for _ in range(30):
        desk._engine.step()
        desk._worker.step()
        seen += [plain(line) for news in family.news() for line in news.lines]
    assert seen == told(desk, handle.id)


def test_the_tree_has_the_steps_of_a_child_below_the_step_that_started_it(tmp_path: Path):
    desk = desk_of_a_parent(tmp_path)
    lines = [plain(line) for line in step_lines(read_family(desk.client, desk.run()))]
    assert [line.split()[1] for line in lines] == ["sub", "reserve", "gift", "charge", "last"]
    assert lines[1].startswith("    ✓ reserve")


def test_a_signal_that_a_child_waits_for_is_shown_with_the_command(loop: Desk):
    run_id = loop.client.start(loop.definition, {"items": [0]}).id
    loop.work()
    view = read_family(loop.client, run_id)
    child = view.children["each#0/sub"].run_id
    assert [plain(line) for line in signal_lines(view)] == [f"  signal  sagarun signal {child} go"]
    assert any(f"sagarun signal {child} go" in line for line in told(loop, run_id))


def test_of_many_children_nothing_is_told_and_only_the_first_are_read(loop: Desk):
    run_id = loop.client.start(loop.definition, {"items": list(range(1, 31))}).id
    loop.work()
    assert [word for word in words(loop, run_id) if "sub" in word] == []
    family = Family(loop.client, run_id)
    for _ in range(3):
        family.news()
    assert len(family.view().children) == AT_ONCE


def test_children_one_after_the_other_are_all_followed(tmp_path: Path):
    (tmp_path / "child.yaml").write_text(CHILD)
    steps = "".join(f"  - {{id: s{n}, subworkflow: child, with: {{n: 1}}}}\n" for n in range(AT_ONCE + 2))
    desk = Desk(tmp_path, f"workflow: long\nversion: 1.0.0\nsteps:\n{steps}")
    run_id = desk.client.start(desk.definition).id
    family = Family(desk.client, run_id)
    seen: list[str] = []
    for _ in range(100):
        desk._engine.step()
        desk._worker.step()
        seen += [plain(line) for news in family.news() for line in news.lines]
    assert len([line for line in seen if "/hold" in line]) == AT_ONCE  # they hold until all is decided
    assert desk.client.get(run_id).status() == "completed"


class Outage:
    """A store of which every third call fails once."""

    def __init__(self, desk: Desk) -> None:
        self._store = desk.store
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        self.calls += 1
        if self.calls % 3 == 0:
            raise StoreUnavailable("Redis is away")
        return getattr(self._store, name)


def test_an_outage_between_two_histories_costs_no_line(tmp_path: Path):
    desk = desk_of_a_parent(tmp_path)
    run_id = desk.run(last="declined")
    expected = told(desk, run_id)
    family = Family(desk.client, run_id)
    desk.client.store = Outage(desk)  # type: ignore[assignment]
    seen: list[str] = []
    for _ in range(20):
        try:
            seen += [plain(line) for news in family.news() for line in news.lines]
        except StoreUnavailable:
            continue
    assert sorted(seen) == sorted(expected)


def test_what_an_outage_made_it_read_twice_is_counted_once(tmp_path: Path):
    desk = desk_of_a_parent(tmp_path)
    run_id = desk.run(fail="undo")
    family = Family(desk.client, run_id)
    desk.client.store = Outage(desk)  # type: ignore[assignment]
    desk.client.store.calls = 1  # type: ignore[attr-defined]
    with pytest.raises(StoreUnavailable):
        family.news()
    desk.client.store = desk.store
    family.news()
    desk.undo_is_broken = False
    desk.client.resume(desk.client.wait(run_id, timeout=0).stuck_run, timeout=0)
    desk.work()
    assert any(isinstance(news.event, ev.RunFinished) and news.is_own for news in family.news())
    assert family.root.is_over


def test_what_is_known_of_a_child_is_not_told_again(tmp_path: Path):
    desk = desk_of_a_parent(tmp_path)
    run_id = desk.run(fail="undo")
    known = len(read_events(desk.client, run_id))
    family = Family(desk.client, run_id, skip=known)
    assert [line for news in family.news() for line in news.lines] == []
    desk.undo_is_broken = False
    desk.client.resume(desk.client.wait(run_id, timeout=0).stuck_run, timeout=0)
    desk.work()
    lines = [plain(line) for news in family.news() for line in news.lines]
    assert any("sub/reserve" in line and "✓" in line for line in lines)


def test_a_run_without_children_is_told_alone(tmp_path: Path):
    desk = Desk(tmp_path, ORDER)
    assert words(desk, desk.run()) == ["✓ reserve", "- gift", "✓ charge"]
