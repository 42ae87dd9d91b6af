"""What callers may hand in, and how long batches are split."""

from __future__ import annotations

from typing import Any

import pytest

from runner.errors import StoreError
from runner.store import limits
from runner.store.ports import Commit, Dispatch, NewRun, ProcessInfo, Slot


@pytest.mark.parametrize("name", ["a", "lines#3/ship", "~finally/record", "host:1:x", "ü", "x" * limits.MAX_NAME])
def test_names_of_nodes_and_processes_are_fine(name: str):
    limits.check_name("path", name)


@pytest.mark.parametrize("name", ["order", "order:EU|42", "order:ü", "schedule/order"])
def test_slots_may_be_named_after_what_users_wrote(name: str):
    limits.check_slot(Slot(name, 1))


@pytest.mark.parametrize(
    "slot", [Slot("", 1), Slot("a\nb", 1), Slot("x" * (limits.MAX_NAME + 1), 1), Slot("a", 0), Slot("a", 2**60)]
)
def test_a_slot_needs_a_printable_name_and_a_limit(slot: Slot):
    with pytest.raises(ValueError, match="needed"):
        limits.check_slot(slot)


@pytest.mark.parametrize("name", ["", "a|b", "a\nb", "\x7f", "x" * (limits.MAX_NAME + 1)])
def test_a_name_that_could_be_read_as_two_is_refused(name: str):
    with pytest.raises(ValueError, match="path"):
        limits.check_name("path", name)


@pytest.mark.parametrize("number", [-1, 2**53, 1.0, float("nan"), float("inf"), True, "1"])
def test_a_number_is_whole_and_exact_in_lua(number: Any):
    with pytest.raises(ValueError, match="delay"):
        limits.check_number("delay", number)


def test_a_value_is_bounded():
    limits.check_size("it", b"x" * limits.MAX_VALUE_BYTES)
    with pytest.raises(StoreError, match="it has 2,097,153 bytes"):
        limits.check_size("it", b"x" * (limits.MAX_VALUE_BYTES + 1))


def commit(**fields: Any) -> Commit:
    values: dict[str, Any] = {"run_id": "r", "etag_read": "", "etag": "e", "entries_seen": 0, "state": b""}
    return Commit(**{**values, "status": "", **fields})


BIG = b"x" * (limits.MAX_VALUE_BYTES + 1)
DISPATCH = Dispatch("a", "q", b"", "p")
CHILD = NewRun("c", "n", "", b"{}", b"in")


@pytest.mark.parametrize(
    "fields",
    [
        {"run_id": "a|b"}, {"etag": ""}, {"entries_seen": -1},
        {"entries_seen": limits.MAX_PARTS + 1, "last_seen": "m"}, {"entries_seen": 1}, {"last_seen": "m"},
        {"retention_ms": -1}, {"revokes": (("", True),)},
        {"timers": (("a|b", 1),)}, {"timers": (("t", -1),)}, {"dispatches": (DISPATCH, DISPATCH)},
        {"dispatches": (Dispatch("a|b", "q", b"", "p"),)}, {"dispatches": (Dispatch("a", "", b"", "p"),)},
        {"dispatches": (Dispatch("a", "q", b"", "p|q"),)}, {"dispatches": (Dispatch("a", "q", b"", "p", -1),)},
        {"dispatches": tuple(Dispatch(f"a{n}", "q", b"", "p") for n in range(limits.MAX_DISPATCHES + 1))},
        {"revokes": (("a", True),) * (limits.MAX_REVOKES + 1)}, {"history": (b"",) * (limits.MAX_PARTS + 1)},
        {"starts": (NewRun("a|b", "n", "", b"", b""),)}, {"starts": (CHILD, CHILD)},
        {"starts": (NewRun("r", "n", "", b"", b""),)}, {"tells": (("r", b""),)}, {"tells": (("", b""),)},
        {"starts": tuple(NewRun(f"c{n}", "n", "", b"", b"") for n in range(limits.MAX_STARTS + 1))},
        {"starts": (NewRun("c", "n", "", b"", b"", Slot("a", 1)),)},
        {"tells": (("c", b""),) * (limits.MAX_PARTS + 1)},
    ],
    ids=str,
)
def test_a_commit_that_lua_would_refuse_is_refused_before(fields: dict[str, Any]):
    with pytest.raises(ValueError, match=r"\w"):
        limits.check_commit(commit(**fields))


@pytest.mark.parametrize(
    "fields",
    [{"state": BIG}, {"writes": {"a": BIG}}, {"history": (BIG,)}, {"dispatches": (Dispatch("a", "q", BIG, "p"),)}],
    ids=["state", "writes", "history", "dispatches"],
)
def test_a_commit_is_bounded_in_every_part(fields: dict[str, Any]):
    with pytest.raises(StoreError, match="bytes"):
        limits.check_commit(commit(**fields))


def test_a_process_names_itself_and_its_queues():
    with pytest.raises(ValueError, match="process id"):
        limits.check_process(ProcessInfo("a|b", "worker", "h", 1))
    with pytest.raises(ValueError, match="queue"):
        limits.check_process(ProcessInfo("a", "worker", "h", 1, queues=("",)))


def test_fences_are_read_from_tokens():
    assert limits.fence_of("17-e-1") == 17


def test_batches_split_by_number():
    sizes = [len(batch) for batch in limits.batches(range(2 * limits.MAX_BATCH + 1), lambda _: 0)]
    assert sizes == [limits.MAX_BATCH, limits.MAX_BATCH, 1]


def test_batches_split_by_size_and_keep_the_order():
    half = limits.MAX_CALL_BYTES // 2
    assert list(limits.batches([half, half, 1, 3 * half, 1], lambda size: size)) == [[half, half], [1], [3 * half], [1]]


def test_nothing_makes_no_batch():
    assert list(limits.batches([], lambda _: 0)) == []
