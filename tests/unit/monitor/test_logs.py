"""The log file that several processes share."""

from __future__ import annotations

import errno
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.errors import ConfigError
from runner.monitor import logs
from runner.monitor.logs import SharedLogFile, current_log, name_process, stop_log, write_log

log = logging.getLogger("sagarun.test")


@pytest.fixture(autouse=True)
def _root_logger_as_it_was() -> Iterator[None]:
    level = logging.getLogger().level
    yield
    stop_log()
    logging.getLogger().setLevel(level)


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_is_one_json_object_with_what_was_given(tmp_path: Path):
    write_log(tmp_path / "logs/x.log")
    log.info("step %s", "completed", extra={"run_id": "r1", "step": "pay"})
    (line,) = lines(tmp_path / "logs/x.log")
    assert line["message"] == "step completed"
    assert (line["level"], line["logger"], line["run_id"], line["step"]) == ("INFO", "sagarun.test", "r1", "pay")
    assert {"time", "pid"} <= line.keys()


def test_a_traceback_stays_within_its_line(tmp_path: Path):
    write_log(tmp_path / "x.log")
    try:
        raise ValueError("no")
    except ValueError:
        log.exception("broke")
    (line,) = lines(tmp_path / "x.log")
    assert "ValueError: no" in str(line["exc_info"])


def test_the_level_decides_what_is_written(tmp_path: Path):
    write_log(tmp_path / "x.log", level="warning")
    log.info("quiet")
    log.warning("loud")
    assert [line["message"] for line in lines(tmp_path / "x.log")] == ["loud"]


def test_a_second_call_replaces_the_first(tmp_path: Path):
    write_log(tmp_path / "a.log")
    write_log(tmp_path / "b.log")
    log.info("once")
    assert (tmp_path / "a.log").read_text() == ""
    assert len(lines(tmp_path / "b.log")) == 1
    assert current_log() == tmp_path / "b.log"


def test_a_full_file_is_set_aside_and_the_oldest_goes(tmp_path: Path):
    write_log(tmp_path / "x.log", max_bytes=300, backups=2)
    for number in range(12):
        log.info("line %02d", number)
    names = sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".lock")
    assert names == ["x.log", "x.log.1", "x.log.2"]
    kept = [line["message"] for name in ("x.log.2", "x.log.1", "x.log") for line in lines(tmp_path / name)]
    assert kept == [f"line {number:02}" for number in range(12 - len(kept), 12)]
    assert all(path.stat().st_size <= 300 for path in tmp_path.iterdir())


def test_without_a_limit_nothing_is_rotated(tmp_path: Path):
    write_log(tmp_path / "x.log", max_bytes=0)
    for number in range(5):
        log.info("line %d", number)
    assert len(lines(tmp_path / "x.log")) == 5


def test_a_file_that_another_process_rotated_is_opened_again(tmp_path: Path):
    write_log(tmp_path / "x.log")
    log.info("before")
    (tmp_path / "x.log").rename(tmp_path / "x.log.1")
    log.info("after")
    assert [line["message"] for line in lines(tmp_path / "x.log")] == ["after"]


def test_whoever_finds_it_full_second_does_not_rotate_the_new_file(tmp_path: Path):
    first, second = (SharedLogFile(tmp_path / "x.log", max_bytes=100, backups=3) for _ in range(2))
    for handler in (first, second):
        handler.setFormatter(logging.Formatter("%(message)s"))
    record = logging.makeLogRecord({"msg": "x" * 80})
    first.emit(record)
    first._rotate()
    second._rotate()  # it looked at the file before the first one renamed it
    assert not (tmp_path / "x.log.2").exists()
    first.close()
    second.close()


WRITER = """
import logging, sys
from pathlib import Path
from runner.monitor.logs import write_log
write_log(Path(sys.argv[1]), max_bytes=20_000, backups=50)
for number in range(300):
    logging.getLogger("w").info("%s-%d %s", sys.argv[2], number, "x" * 200)
"""


def test_no_line_of_several_processes_is_lost_or_torn(tmp_path: Path):
    path = tmp_path / "x.log"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(name)]) for name in range(3)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    messages = [
        str(line["message"]).split()[0]
        for file in tmp_path.iterdir() if file.suffix != ".lock"
        for line in lines(file)
    ]  # fmt: skip
    assert sorted(messages) == sorted(f"{name}-{number}" for name in range(3) for number in range(300))


def test_a_file_that_cannot_be_written_is_told_at_once(tmp_path: Path):
    (tmp_path / "logs").write_text("not a folder")
    with pytest.raises(ConfigError, match="cannot be written"):
        write_log(tmp_path / "logs/x.log")


def test_each_line_says_which_process_it_is_of(tmp_path: Path):
    write_log(tmp_path / "x.log")
    name_process("host:1:a")
    try:
        log.info("one")
        log.info("two", extra={"process_id": "host:2:b"})
    finally:
        name_process("")
    log.info("three")
    assert [line.get("process_id") for line in lines(tmp_path / "x.log")] == ["host:1:a", "host:2:b", None]


def test_a_terminal_may_have_a_copy(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write_log(tmp_path / "x.log", console="plain")
    log.info("step completed", extra={"run_id": "r1", "step": "pay", "trace_id": "abc", "event": "StepCompleted"})
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("INFO    test: step completed  run_id=r1  step=pay")
    stop_log()
    log.info("no more")
    assert capsys.readouterr().err == ""


def test_a_full_disk_is_said_once_and_not_with_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    write_log(tmp_path / "x.log")
    with monkeypatch.context() as patch:
        patch.setattr(logs, "os", FullDisk())  # not os.write itself, which other threads of the test's process need
        log.info("lost")
        log.info("lost too")
    log.info("written")
    assert capsys.readouterr().err == f"! the log {tmp_path / 'x.log'} cannot be written: No space left on device\n"
    assert [line["message"] for line in lines(tmp_path / "x.log")] == ["written"]


class FullDisk:
    def __getattr__(self, name: str) -> object:
        return getattr(os, name)

    def write(self, _descriptor: int, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")
