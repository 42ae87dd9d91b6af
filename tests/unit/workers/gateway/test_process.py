"""The gateway as a process: one however many start it, gone when it is not needed, never mistaken for another."""

from __future__ import annotations

import http.server
import json
import os
import signal
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from tests.servers import PATIENCE_S, until
from tests.unit.workers.programs import begin_gateway_program, gateway_program
from workers.gateway import process


def found(ledger: Path) -> process.Address:
    address = process.find(ledger)
    assert address is not None
    return address


def wait_until(fact: Callable[[], bool]) -> None:
    until(fact, "it comes true")


def is_alive(pid: int) -> bool:
    """Whether it still runs; one that only waits for somebody to collect its exit status does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture
def stranger() -> Iterator[int]:
    """The port of an HTTP server that has nothing to do with us."""
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


def test_ten_programs_that_start_it_at_once_get_one_gateway(ledger: Path):
    programs = [begin_gateway_program("start") for _ in range(10)]
    told = {program.communicate(timeout=PATIENCE_S)[0] for program in programs}
    assert {program.returncode for program in programs} == {0}
    assert told == {f"{found(ledger).url} (process {found(ledger).pid})\n"}


def test_it_lives_in_a_session_of_its_own_and_holds_none_of_the_streams_of_its_starter(ledger: Path):
    gateway_program("start")  # returns at the end of both streams, so nobody holds them any more
    pid = found(ledger).pid
    assert os.getsid(pid) == pid
    streams = {Path(f"/proc/{pid}/fd/{number}").resolve() for number in range(3)}
    assert streams == {Path(os.devnull), ledger.with_suffix(".log").resolve()}


def test_it_can_be_asked_for_and_stopped(ledger: Path):
    assert gateway_program("status").returncode == 1
    gateway_program("start")
    assert gateway_program("status").stdout.startswith(found(ledger).url)
    pid = found(ledger).pid
    assert gateway_program("stop").stdout == "stopped\n"
    assert not ledger.with_suffix(".json").exists(), "nobody is to be sent there any more"
    wait_until(lambda: not is_alive(pid))
    assert gateway_program("stop").stdout == "not running\n"


def test_a_second_start_finds_the_first(ledger: Path):
    gateway_program("start")
    first = found(ledger)
    assert gateway_program("start").stdout.startswith(first.url)
    assert found(ledger) == first


def test_a_restart_keeps_the_ledger(ledger: Path):
    gateway_program("start")
    before = found(ledger)
    process.stop(ledger)
    gateway_program("start")
    after = found(ledger)
    assert (after.ledger_id, after.pid != before.pid) == (before.ledger_id, True)


def test_after_a_kill_the_next_start_makes_a_new_one_over_the_same_ledger(ledger: Path):
    gateway_program("start")
    killed = found(ledger)
    os.kill(killed.pid, signal.SIGKILL)
    wait_until(lambda: process.find(ledger) is None)
    gateway_program("start")
    assert (found(ledger).ledger_id, found(ledger).pid != killed.pid) == (killed.ledger_id, True)


def test_it_ends_when_nobody_asks_it_for_anything(ledger: Path):
    told = gateway_program("start", "--idle", "2").stdout
    wait_until(lambda: not ledger.with_suffix(".json").exists())
    wait_until(lambda: not is_alive(int(told.rstrip(")\n").rpartition("process ")[2])))


def test_it_ends_when_its_ledger_is_removed(ledger: Path):
    gateway_program("start", "--idle", "4")  # it looks every second
    pid = found(ledger).pid
    ledger.unlink()
    assert process.find(ledger) is None, "it must not answer for books that are gone"
    wait_until(lambda: not is_alive(pid))


def test_a_new_ledger_gets_a_gateway_of_its_own(ledger: Path):
    gateway_program("start", "--idle", "4")
    old = found(ledger)
    for file in ledger.parent.iterdir():
        file.unlink()  # as somebody does who wants to begin anew
    gateway_program("start")
    assert found(ledger).ledger_id != old.ledger_id
    wait_until(lambda: not is_alive(old.pid))


def test_the_address_of_a_stranger_is_not_believed(ledger: Path, stranger: int):
    gateway_program("start")
    process.stop(ledger)
    stale = process.Address(f"http://127.0.0.1:{stranger}", os.getpid(), "some ledger")
    ledger.with_suffix(".json").write_text(json.dumps(asdict(stale)))
    assert process.find(ledger) is None
    assert gateway_program("start").returncode == 0
    assert found(ledger).url != stale.url


def test_the_address_of_another_ledgers_gateway_is_not_believed(ledger: Path):
    gateway_program("start")
    other = replace(found(ledger), ledger_id="0000")
    ledger.with_suffix(".json").write_text(json.dumps(asdict(other)))
    assert process.find(ledger) is None


@pytest.mark.parametrize("content", ["", "{", "[]", '"http://127.0.0.1:1"', '{"url": "x"}'])
def test_a_damaged_address_file_is_as_none(ledger: Path, content: str):
    ledger.parent.mkdir()
    ledger.with_suffix(".json").write_text(content)
    assert process.find(ledger) is None
    assert gateway_program("start").returncode == 0


def test_a_port_that_is_taken_is_an_error_that_says_so(ledger: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        program = gateway_program("start", "--port", str(taken.getsockname()[1]))
    assert program.returncode == 1
    assert "Address already in use" in program.stderr
    assert str(ledger.with_suffix(".log")) in program.stderr


def test_a_ledger_that_cannot_be_opened_is_an_error_that_says_so(ledger: Path):
    ledger.parent.mkdir()
    other = sqlite3.connect(ledger)
    other.execute("PRAGMA user_version = 99")
    other.close()
    program = gateway_program("start")
    assert (program.returncode, "another version" in program.stderr) == (1, True)


def test_in_the_foreground_it_serves_until_it_is_told_to_end(ledger: Path):
    program = begin_gateway_program("serve")
    assert program.stdout is not None
    assert str(ledger) in program.stdout.readline()
    assert gateway_program("serve").returncode == 1, "there is one gateway a ledger"
    assert found(ledger).pid == program.pid
    program.send_signal(signal.SIGINT)
    program.communicate(timeout=PATIENCE_S)
    assert program.returncode == 0
    assert process.find(ledger) is None
