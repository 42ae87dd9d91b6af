"""Reading what Lua wrote."""

from __future__ import annotations

import pytest

from runner.errors import RecordTampered
from runner.store.ports import InboxEntry, TaskRecord
from runner.store.records import read_claimed, read_entry, read_run, read_task


def test_an_entry_has_a_header_line_and_a_body():
    entry = read_entry(b"outcome|1700|lines#3/ship|1600|host:1:x\n{\"a\":\n|1}")
    assert entry == InboxEntry("outcome", 1700, "lines#3/ship", 1600, "host:1:x", b"{\"a\":\n|1}")


def test_an_entry_may_be_empty():
    assert read_entry(b"revoked|1700|a|0|\n") == InboxEntry("revoked", 1700, "a")


@pytest.mark.parametrize("text", [b"", b"outcome", b"outcome|1|a|2\n", b"invented|1|a|2|p\n"])
def test_an_entry_that_lua_never_wrote_is_refused(text: bytes):
    with pytest.raises(RecordTampered, match="inbox entry"):
        read_entry(text)


def test_an_open_task_is_read():
    task = read_task(b"R|host:1:x|12|1|5-e|q|10|0|payload|with bar")
    assert task == TaskRecord("5-e", "R", "q", 10, "host:1:x", 12, True)


@pytest.mark.parametrize("text", [b"", b"D|5-e"])
def test_a_closed_task_is_none(text: bytes):
    assert read_task(text) is None


def test_a_task_that_lua_never_wrote_is_refused():
    with pytest.raises(RecordTampered, match="task's record"):
        read_task(b"Q|5-e|q")


def test_a_claimed_task_carries_the_fence_of_its_token():
    task = read_claimed([b"r|a|17-e", b"q", b"10", b"12", b"message", b"payload"])
    assert (task.fence, task.token, task.queued_at_ms, task.claimed_at_ms) == (17, "17-e", 10, 12)


RECORD = {
    b"head": b"0", b"tail": b"0", b"etag": b"", b"status": b"", b"summary": b"{}", b"created": b"1", b"updated": b"2",
}


def test_a_record_is_read():
    run = read_run("r", {**RECORD, b"w:n": b"node", b"end": b"1", b"parked": b"2", b"broken": b"trace"})
    assert (run.fields, run.terminal, run.parked, run.broken) == ({"n": b"node"}, True, 2, b"trace")


@pytest.mark.parametrize("change", [{b"head": b"x"}, {b"head": b"5"}, {b"tail": b"1"}, {b"created": b""}])
def test_a_record_that_makes_no_sense_is_refused(change: dict[bytes, bytes]):
    with pytest.raises(RecordTampered, match="run r"):
        read_run("r", {**RECORD, **change})


@pytest.mark.parametrize("name", sorted(RECORD))
def test_a_record_without_a_field_is_refused(name: bytes):
    with pytest.raises(RecordTampered, match="run r"):
        read_run("r", {key: value for key, value in RECORD.items() if key != name})
