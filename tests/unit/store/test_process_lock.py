"""A free lock proves a death, and nothing else does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runner.errors import UsageError
from runner.store.file_lock import try_lock
from runner.store.process_lock import ProcessLock, forget_dead, forget_unknown, is_dead
from tests.project.repository import ROOT

HOLDER = """
import sys
from pathlib import Path
from runner.store.process_lock import ProcessLock
print(ProcessLock(Path(sys.argv[1]), "host:1:abc").path, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, tmp_path], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        yield process
        process.kill()


def test_a_living_process_is_not_dead(holder):
    assert not is_dead(Path(holder.stdout.readline().strip()))


def test_a_killed_process_is_dead(holder):
    path = Path(holder.stdout.readline().strip())
    holder.kill()
    holder.wait()
    assert is_dead(path)


def test_the_holder_itself_is_alive(tmp_path):
    with ProcessLock(tmp_path, "host:1:abc") as lock:
        assert not is_dead(lock.path)


def test_a_missing_file_proves_nothing(tmp_path):
    assert not is_dead(tmp_path / "never-was.lock")


def test_release_removes_the_file(tmp_path):
    with ProcessLock(tmp_path, "host:1:abc") as lock:
        assert lock.path.exists()
    assert list(tmp_path.iterdir()) == []


def test_release_may_be_repeated(tmp_path):
    lock = ProcessLock(tmp_path, "host:1:abc")
    lock.release()
    lock.release()


def test_two_who_ask_at_once_do_not_see_each_other(holder):
    path = Path(holder.stdout.readline().strip())
    holder.kill()
    holder.wait()
    asking = os.open(path, os.O_RDWR)
    assert try_lock(asking, shared=True)  # as is_dead does, in between
    assert is_dead(path)
    os.close(asking)


def test_a_started_program_does_not_inherit_the_lock(tmp_path):
    lock = ProcessLock(tmp_path, "host:1:abc")
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, close_fds=False):
        os.close(lock._descriptor)
        lock._descriptor = None
        assert is_dead(lock.path)


def test_a_forked_child_keeps_its_parent_alive(tmp_path):
    """What the child does may be the attempt itself: it must be over before somebody repeats it."""
    lock = ProcessLock(tmp_path, "host:1:abc")
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(write)
        os.read(read, 1)
        os._exit(0)
    os.close(read)
    os.close(lock._descriptor)
    lock._descriptor = None
    assert not is_dead(lock.path)
    os.close(write)
    os.waitpid(child, 0)
    assert is_dead(lock.path)


def test_forget_dead_removes_only_the_dead(holder):
    path = Path(holder.stdout.readline().strip())
    assert not forget_dead(path)
    holder.kill()
    holder.wait()
    assert forget_dead(path)
    assert not path.exists()


@pytest.mark.parametrize("name", ["", "a/b", "../a", ".hidden", "a\0b"])
def test_an_id_that_is_no_file_name_is_refused(tmp_path, name):
    with pytest.raises(UsageError):
        ProcessLock(tmp_path, name)


def test_of_files_that_no_store_knows_those_of_the_dead_are_removed(tmp_path, holder):
    """Killed before it registered, or reaped by its lease: nobody else would ever remove it."""
    path = Path(holder.stdout.readline().strip())
    with ProcessLock(tmp_path, "host:2:def") as living:
        forget_unknown(tmp_path, [])
        assert path.exists()
        holder.kill()
        holder.wait()
        forget_unknown(tmp_path, [str(path)])
        assert path.exists(), "its death is still to be seen"
        forget_unknown(tmp_path, ["/elsewhere/x.lock"])
        assert list(tmp_path.iterdir()) == [living.path]
