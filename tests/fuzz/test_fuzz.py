"""A part of the fuzz run, and every bomb: problems, never a traceback, a second of processor time or a dead process."""

from __future__ import annotations

import pytest

from runner.definition import schema
from runner.definition.source import read_text
from runner.errors import DefinitionError
from runner.lint.checked import check_file
from tests.fuzz.batches import run
from tests.fuzz.bombs import BOMBS
from tests.fuzz.judge import SECONDS, judged, project, sources
from tests.fuzz.mutate import mutated


def test_wrong_files_end_in_problems():
    results, ended = run(1, 400, 1)
    assert [(result.seed, result.fault) for result in results if result.fault] == []
    assert ended == []
    assert len(results) == 400
    assert sum(result.problems for result in results) > 400


def test_bombs_end_in_problems_within_little_memory_and_time():
    first = [500 * number for number in range(len(BOMBS))]
    results = list(judged(first, sources()))
    assert [(result.seed, result.fault) for result in results if result.fault] == []
    assert max(result.seconds for result in results) < SECONDS


@pytest.mark.parametrize("seed", [0, 1, 7, 500, 501])
def test_a_seed_makes_the_same_file_each_time(seed: int):
    assert mutated(seed, sources()) == mutated(seed, sources())


def test_seeds_make_different_files():
    files = sources()
    assert len({mutated(seed, files) for seed in range(1, 200)}) > 150


def test_a_traceback_is_a_fault(monkeypatch: pytest.MonkeyPatch):
    def fails(*_: object, **__: object) -> None:
        raise RecursionError("too deep")

    monkeypatch.setattr("tests.fuzz.judge.check_file", fails)
    (result,) = judged([3], sources())
    assert "RecursionError: too deep" in result.fault


def test_the_files_that_it_begins_with_are_read_as_in_their_project():
    with project() as folder:
        path = folder / "definitions/order.yaml"
        path.write_bytes(next(each for each in sources() if b"workflow: order\n" in each and b"../schemas" in each))
        assert check_file(path, root=folder, contracts=None)[0] is not None


def test_what_the_quick_schema_check_lets_through_fits_the_schema():
    files, seen = sources(), 0
    for seed in range(1, 500):
        try:
            source = read_text(mutated(seed, files).decode(), "a.yaml")
        except (DefinitionError, UnicodeDecodeError):
            continue
        if schema._fits("workflow", source.value):
            seen += 1
            assert list(schema._validator("workflow").iter_errors(source.value)) == [], seed
    assert seen > 30
