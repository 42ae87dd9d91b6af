"""A child as its supervisor sees it: never waited for, and dead for certain when it is said to be."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.worker.child_process import ChildProcess
from runner.worker.frames import Broken, FromChild, Ready, Setup, TaskFrame, Work
from tests.servers import until

MODULE = "from runner import worker\n@worker('w.echo')\ndef echo(text: str) -> str: return text\n"


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChildProcess]:
    (tmp_path / "single_workers.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    started = ChildProcess(1, born_at_s=0.0)
    yield started
    started.kill()
    until(started.is_dead, "the child is dead")
    started.release()


def heard(child: ChildProcess) -> list[FromChild]:
    found: list[FromChild] = []
    until(lambda: found.extend(child.receive()) or found, "the child has said something")
    return found


def test_a_child_imports_what_its_supervisor_can_import(child: ChildProcess):
    child.send(Setup(["single_workers"], 1))
    (message,) = heard(child)
    assert isinstance(message, Ready)
    assert set(message.contracts) == {"http.request", "w.echo"}


def test_nothing_to_hear_is_no_end(child: ChildProcess):
    assert list(child.receive()) == []


def test_what_does_not_fit_into_the_pipe_waits_without_blocking(child: ChildProcess):
    os.kill(child.pid, signal.SIGSTOP)
    payload = b"x" * 1_000_000
    child.send(Work([TaskFrame(number, b"{}", payload, 0.0, 0, "q", 0, 0) for number in range(5)]))
    assert child.has_backlog
    os.kill(child.pid, signal.SIGCONT)
    until(lambda: child.flush() or not child.has_backlog, "the child has read it all")


def test_the_death_of_a_child_is_told_with_its_cause(child: ChildProcess):
    assert not child.is_dead()
    os.kill(child.pid, signal.SIGKILL)
    until(child.is_dead, "the child is dead")
    assert child.describe_end() == "was killed by SIGKILL"
    with pytest.raises(EOFError):
        list(child.receive())


def test_words_to_a_dead_child_are_dropped(child: ChildProcess):
    os.kill(child.pid, signal.SIGKILL)
    until(child.is_dead, "the child is dead")
    child.send(Setup(["x"], 1))
    assert not child.has_backlog


def test_what_a_child_said_last_can_still_be_heard(child: ChildProcess):
    child.send(Setup(["absent_workers"], 1))
    until(child.is_dead, "the child has given up")
    (message,) = child.last_words()
    assert isinstance(message, Broken)
    assert child.describe_end() == "exited with status 1"


def test_a_child_that_is_closed_ends_by_itself(child: ChildProcess):
    child.send(Setup(["single_workers"], 1))
    heard(child)
    child.close(1.0)
    until(child.is_dead, "the child has ended")
    assert child.describe_end() == "exited with status 0"


def test_a_descriptor_can_be_handed_down(tmp_path: Path):
    with (tmp_path / "lock").open("w") as lock:
        child = ChildProcess(1, born_at_s=0.0, inherited=(lock.fileno(),))
    until(lambda: _has_open(child.pid, tmp_path / "lock"), "the child holds the file")
    child.kill()
    until(child.is_dead, "the child is dead")
    child.release()


def _has_open(pid: int, path: Path) -> bool:
    return any(each.exists() and each.readlink() == path for each in Path(f"/proc/{pid}/fd").iterdir())


def test_a_child_that_cannot_be_started_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch):
    before = len(list(Path("/proc/self/fd").iterdir()))
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(OSError, match="nowhere"):
        ChildProcess(1, born_at_s=0.0)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


