"""Many files at once: the same as one after the other, whatever the number of processes."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from runner.cli.checking import side_by_side
from runner.cli.checking.side_by_side import checked
from runner.definition.problem import Problem
from runner.errors import UsageError

FILES = [Path(f"{number}.yaml") for number in range(70)]


def found(file: Path) -> list[Problem]:
    number = int(file.stem)
    return [Problem(str(file), line, 1, "SR001", f"in {os.getpid()}") for line in range(1, number % 3 + 1)]


@pytest.fixture(autouse=True)
def _two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "processors", lambda: 2)


def places(several: list[list[Problem]]) -> list[list[tuple[str, int]]]:
    return [[(each.file, each.line) for each in problems] for problems in several]


def test_everything_is_found_in_the_order_of_the_files() -> None:
    assert places(list(checked(FILES, found))) == places(list(map(found, FILES)))


def test_a_few_files_are_checked_here() -> None:
    own = f"in {os.getpid()}"
    assert {each.message for problems in checked(FILES[:31], found) for each in problems} == {own}


def test_beside_another_thread_nothing_is_forked() -> None:
    own, done = f"in {os.getpid()}", threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        assert {each.message for problems in checked(FILES, found) for each in problems} == {own}
    finally:
        done.set()
        thread.join()


def test_what_goes_wrong_in_a_fork_is_raised() -> None:
    def wrong(file: Path) -> list[Problem]:
        if file == FILES[40]:
            raise UsageError("there is no file 40")
        return []

    with pytest.raises(UsageError, match="no file 40"):
        list(checked(FILES, wrong))


def test_many_files_are_checked_by_forks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side.threading, "active_count", lambda: 1)  # those of the test runner's own do no harm
    messages = {each.message for problems in checked(FILES[1:], found) for each in problems}
    assert messages - {f"in {os.getpid()}"}
