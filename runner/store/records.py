"""The text forms in which Lua keeps inbox entries and tasks, read back into the structs of ports.

An entry is one header line `kind|at_ms|path|claimed_at_ms|process`, for an output that is kept in a field of its own
with `|field` behind it, and `|path` of the successor that was dispatched because of it; then comes its body. A task's
record is `state|process|claimed_at_ms|cancelled|token|queue|queued_at_ms|timeout_at_ms|payload`, a line's end and its
message. Only Lua writes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import msgspec

from runner.errors import RecordTampered
from runner.store.faults import FAULT_HOURS, FaultGroup, FaultState
from runner.store.keys import INBOX, TASK, WRITE, fields_of
from runner.store.limits import fence_of
from runner.store.observations import AlertRow
from runner.store.ports import MAX_INBOX, OUTPUT, ClaimedTask, InboxEntry, StoredRun, TaskRecord

HOUR_MS = 3_600_000
_PARTS = msgspec.msgpack.Decoder(list[str])
_KINDS = frozenset(("started", "outcome", "lost", "queue_timeout", "revoked", "timer", "request", "told"))


def _payload(name: str, value: bytes, record: Mapping[bytes, bytes]) -> bytes:
    """As it was written, or joined of outputs: see _pack_successor. Of that, no JSON begins like MessagePack."""
    if value < b"\x80" or name.endswith(OUTPUT):
        return value
    try:
        parts = _PARTS.decode(value)
    except msgspec.DecodeError:
        return value
    kind, end = WRITE.encode(), OUTPUT.encode()
    texts = enumerate(part.encode() for part in parts)
    return b"".join(record[kind + text + end] if index % 2 else text for index, text in texts)


def read_entry(text: bytes, output: bytes = b"") -> InboxEntry:
    header, _, body = text.partition(b"\n")
    parts = header.decode().split("|")
    if not 5 <= len(parts) <= 7 or parts[0] not in _KINDS:
        raise RecordTampered(f"an inbox entry begins with {header[:80]!r}")
    kind, at_ms, path, claimed_at_ms, process = parts[:5]
    successor = parts[6] if len(parts) == 7 else ""
    return InboxEntry(
        kind, int(at_ms), path, int(claimed_at_ms), process, body, output, successor  # type: ignore[arg-type]
    )


def _read_entry_of(text: bytes, record: Mapping[bytes, bytes]) -> InboxEntry:
    parts = text.partition(b"\n")[0].split(b"|")
    return read_entry(text, record[WRITE.encode() + parts[5]] if len(parts) > 5 else b"")


def read_task(text: bytes) -> TaskRecord | None:
    """None for a task that is not open any more."""
    parts = text.partition(b"\n")[0].decode().split("|", 8)
    if parts[0] not in ("Q", "R"):
        return None
    if len(parts) != 9:
        raise RecordTampered(f"a task's record is {text[:80]!r}")
    state, process, claimed_at_ms, cancelled, token, queue, queued_at_ms, _, _ = parts
    return TaskRecord(
        token, "R" if state == "R" else "Q", queue, int(queued_at_ms), process, int(claimed_at_ms), cancelled == "1"
    )


def read_alert(name: str, text: bytes) -> AlertRow:
    """`firing|since|told at|nonce|what`."""
    firing, since_ms, told_at_ms, _, body = text.split(b"|", 4)
    return AlertRow(name, firing == b"1", int(since_ms), int(told_at_ms), body)


def read_claimed(parts: list[bytes]) -> ClaimedTask:
    ref, queue, queued_at_ms, claimed_at_ms, message, payload = parts
    run_id, path, token = ref.decode().split("|")
    return ClaimedTask(
        run_id, path, token, fence_of(token), queue.decode(), int(queued_at_ms), int(claimed_at_ms), message, payload
    )


def is_in_line(slot: bytes | None) -> bool:
    """Of the field `slot` of a run's record: `W|name` while it waits."""
    return slot is not None and slot.startswith(b"W|")


def read_run(run_id: str, record: Mapping[bytes, bytes]) -> StoredRun:
    """Raises RecordTampered if fields of the record are missing or make no sense."""
    try:
        head, tail = int(record[b"head"]), int(record[b"tail"])
        if not 0 <= head <= tail:
            raise ValueError(f"its inbox goes from {head} to {tail}")
        names = [f"{INBOX}{position}".encode() for position in range(head, min(tail, head + MAX_INBOX))]
        tasks = {path: read_task(text) for path, text in fields_of(record, TASK).items()}
        return StoredRun(
            run_id=run_id,
            etag=record[b"etag"].decode(),
            status=record[b"status"].decode(),
            terminal=record.get(b"end") == b"1",
            summary=record[b"summary"],
            state=record.get(b"state", b""),
            fields={name: _payload(name, value, record) for name, value in fields_of(record, WRITE).items()},
            tasks={path: task for path, task in tasks.items() if task is not None},
            entries=tuple(_read_entry_of(record[name], record) for name in names),
            created_at_ms=int(record[b"created"]),
            updated_at_ms=int(record[b"updated"]),
            broken=record.get(b"broken", b""),
            parked=int(record.get(b"parked", b"0")),
            slot=record.get(b"slot", b"")[2:].decode(),
            in_line=is_in_line(record.get(b"slot")),
        )
    except (KeyError, ValueError) as error:
        raise RecordTampered(f"the record of run {run_id} does not fit: {error!r}") from error


def read_fault(group: str, record: Mapping[bytes, bytes]) -> FaultGroup:
    """Of the ring only the hours that were within FAULT_HOURS of the last fault. A number that is none counts as 0."""
    last_at_ms = _number(record.get(b"last"))
    hours = [tuple(map(_number, value.split(b"|", 1))) for value in fields_of(record, "h:").values() if b"|" in value]
    samples = [value.decode().partition("|") for value in fields_of(record, "s:").values()]
    latest: dict[str, int] = {}
    for run_id, _, at_ms in samples:
        latest[run_id] = max(latest.get(run_id, 0), int(at_ms or 0))
    state = record.get(b"state", b"open").decode()
    return FaultGroup(
        group=group,
        about=record.get(b"about", b""),
        count=_number(record.get(b"count")),
        first_at_ms=_number(record.get(b"first")),
        last_at_ms=last_at_ms,
        hours={hour: count for hour, count in sorted(hours) if hour > last_at_ms // HOUR_MS - FAULT_HOURS},
        marks={mark: _number(count) for mark, count in sorted(fields_of(record, "m:").items())},
        samples=tuple(sorted(latest.items(), key=lambda sample: (-sample[1], sample[0]))),
        state=cast(FaultState, state if state in ("resolved", "ignored") else "open"),
        note=record.get(b"note", b""),
        regressed_at_ms=_number(record.get(b"regressed")),
    )


def _number(value: bytes | None) -> int:
    return int(value) if value is not None and value.isdigit() else 0
