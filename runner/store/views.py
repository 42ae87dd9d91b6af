"""The verbs that only read, and definitions and contracts: plain commands, no scripts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from redis import Redis
from redis.exceptions import ResponseError

from runner.store.base import RedisBase
from runner.store.faults import FaultGroup, FaultState
from runner.store.limits import check_name, check_number, check_schedule
from runner.store.ports import MAX_HOLDERS, EventStream, RunRow, ScheduleRow, SlotInfo
from runner.store.records import is_in_line, read_fault

_PAGE = 500
_FAULTS_AT_ONCE = 100


class ViewVerbs(RedisBase):
    """Each promise is in ports.Store."""

    def put_definition(self, digest: str, document: bytes) -> None:
        self._connection.ask(lambda client: client.hsetnx(self._keys.definitions, digest, document), admits=True)

    def get_definition(self, digest: str) -> bytes | None:
        return cast("bytes | None", self._read(lambda client: client.hget(self._keys.definitions, digest)))

    def put_workers(self, contracts: Mapping[str, bytes]) -> None:
        if contracts:
            mapping: Any = dict(contracts)
            self._connection.ask(lambda client: client.hset(self._keys.workers, mapping=mapping), admits=True)

    def get_workers(self) -> Mapping[str, bytes]:
        workers = self._read(lambda client: client.hgetall(self._keys.workers))
        return {name.decode(): contract for name, contract in workers.items()}

    def listen(self) -> EventStream:
        return self._connection.subscribe(self._keys.events)

    def put_schedule(self, workflow: str, body: bytes) -> None:
        check_schedule(workflow, body)
        self._connection.ask(lambda client: client.hset(self._keys.schedules, workflow, body), admits=True)

    def remove_schedule(self, workflow: str) -> bool:
        def command(client: Redis) -> list[int]:
            pipeline = client.pipeline()
            pipeline.hdel(self._keys.schedules, workflow)
            pipeline.hdel(self._keys.fires, workflow)
            return cast("list[int]", pipeline.execute())

        return bool(self._connection.ask(command)[0])

    def schedules(self) -> list[ScheduleRow]:
        def command(client: Redis) -> list[dict[bytes, bytes]]:
            pipeline = client.pipeline()
            pipeline.hgetall(self._keys.schedules)
            pipeline.hgetall(self._keys.fires)
            return cast("list[dict[bytes, bytes]]", pipeline.execute())

        bodies, fires = self._read(command)
        rows = []
        for workflow, body in sorted(bodies.items()):
            at_ms, _, note = fires.get(workflow, b"").partition(b"|")
            rows.append(ScheduleRow(workflow.decode(), body, int(at_ms or 0), note))
        return rows

    def note_fire(self, workflow: str, at_ms: int, note: bytes) -> bool:
        check_number("at_ms", at_ms)
        return bool(self._scripts.note_fire(workflow=workflow, at_ms=at_ms, note=note))

    def fault_groups(self, *, since_ms: int = 0) -> list[FaultGroup]:
        names = self._read(lambda client: client.zrange(self._keys.faults, "+inf", since_ms, desc=True, byscore=True))
        found: list[FaultGroup] = []
        for begin in range(0, len(names), _FAULTS_AT_ONCE):
            groups = [name.decode() for name in names[begin : begin + _FAULTS_AT_ONCE]]

            def command(client: Redis, groups: Sequence[str] = groups) -> list[Any]:
                pipeline = client.pipeline(transaction=False)
                for group in groups:
                    pipeline.hgetall(self._keys.fault(group))
                return pipeline.execute(raise_on_error=False)

            records = zip(groups, self._read(command), strict=True)
            found += [read_fault(group, record) for group, record in records if isinstance(record, dict) and record]
        return found

    def note_fault(self, group: str, state: FaultState, note: bytes) -> bool:
        check_name("group", group)
        return bool(self._scripts.note_fault(group=group, state=state, note=note))

    def list_runs(
        self, *, limit: int = 50, offset: int = 0, status: str = "", since_ms: int = 0, until_ms: int = 0
    ) -> list[RunRow]:
        """With a status, pages are read until enough rows match: O(runs) for a rare one."""
        rows: list[RunRow] = []
        begin = 0 if status else offset
        skip = offset if status else 0
        while len(rows) < skip + limit:
            page = _PAGE if status else min(_PAGE, limit - len(rows))
            ids = self._read(lambda client, begin=begin, page=page: client.zrange(
                self._keys.runs, until_ms or "+inf", since_ms, desc=True, byscore=True, offset=begin, num=page))
            found = self._read_rows([id.decode() for id in ids])
            rows += [row for row in found if not status or (row.status or "pending") == status]
            begin += page
            if len(ids) < page:
                break
        return rows[skip : skip + limit]

    def _read_rows(self, run_ids: Sequence[str]) -> list[RunRow]:
        def command(client: Redis) -> list[list[bytes | None] | None]:
            pipeline = client.pipeline(transaction=False)
            for run_id in run_ids:
                pipeline.hmget(self._keys.run(run_id), "status", "summary", "created", "updated", "slot")
            return [_unless_tampered(reply) for reply in pipeline.execute(raise_on_error=False)]

        rows = []
        for run_id, reply in zip(run_ids, self._read(command), strict=True):
            if reply is None:  # one bad record must not hide the others
                rows.append(RunRow(run_id, "tampered", b"{}", 0, 0))
            elif reply[2] is not None:  # else its record went between the two looks
                status, summary, created, updated, slot = reply
                waits_for = slot[2:].decode() if slot is not None and is_in_line(slot) else ""
                rows.append(RunRow(
                    run_id, (status or b"").decode(), summary or b"", int(created), int(updated or 0), waits_for
                ))
        return rows

    def load_states(self, run_ids: Sequence[str]) -> list[bytes]:
        found: list[bytes] = []
        for begin in range(0, len(run_ids), _PAGE):

            def command(client: Redis, page: Sequence[str] = run_ids[begin : begin + _PAGE]) -> list[Any]:
                pipeline = client.pipeline(transaction=False)
                for run_id in page:
                    pipeline.hmget(self._keys.run(run_id), "state")
                return [_unless_tampered(reply) for reply in pipeline.execute(raise_on_error=False)]

            found += [(reply and reply[0]) or b"" for reply in self._read(command)]
        return found

    def find_runs(self, prefix: str, *, limit: int = 10) -> list[str]:
        """O(runs): a person asks this, by a few letters of an id."""
        found: set[str] = set()
        cursor = 0
        while True:
            cursor, page = self._read(lambda client, cursor=cursor: client.zscan(
                self._keys.runs, cursor, match=_literally(prefix) + "*", count=1000))
            found.update(run_id.decode() for run_id, _ in page)
            if not cursor:
                return sorted(found)[:limit]

    def slot(self, name: str, *, run_id: str = "") -> SlotInfo | None:
        keys = self._keys

        def command(client: Redis) -> list[Any]:
            pipeline = client.pipeline()  # one moment: a run that begins is in one of the two, not in both
            pipeline.hget(keys.slot(name), "limit")
            pipeline.zcard(keys.holders(name))
            pipeline.zcard(keys.line(name))
            pipeline.zrange(keys.holders(name), 0, MAX_HOLDERS - 1)
            pipeline.zrank(keys.line(name), run_id)
            return pipeline.execute()

        limit, held, waiting, holders, ahead = self._read(command)
        if not held and not waiting:
            return None
        ids = sorted(run_id.decode() for run_id in holders)
        return SlotInfo(name, int(limit or 1), held, waiting, tuple(ids), ahead or 0)

    def history(self, run_id: str, *, start: int = 0) -> list[bytes]:
        entries: list[bytes] = []
        while True:
            begin = start + len(entries)
            page = self._read(lambda client, begin=begin: client.lrange(
                self._keys.history(run_id), begin, begin + _PAGE - 1))
            entries += page
            if len(page) < _PAGE:
                return entries

    def queue_depths(self) -> Mapping[str, int]:
        names = sorted(name.decode() for name in self._read(lambda client: client.smembers(self._keys.queues)))

        def command(client: Redis) -> list[int]:
            pipeline = client.pipeline(transaction=False)
            for name in names:
                pipeline.llen(self._keys.queue(name))
            return cast(list[int], pipeline.execute())

        return dict(zip(names, self._read(command), strict=True))

    def count_live(self) -> int:
        return int(self._read(lambda client: client.zcard(self._keys.watch)))

    def now_ms(self) -> int:
        return self._scripts.read_clock()

    def _read(self, command: Callable[..., Any]) -> Any:
        return self._connection.ask(command)


def _unless_tampered(reply: Any) -> list[bytes | None] | None:
    if isinstance(reply, ResponseError) and str(reply).find("WRONGTYPE") >= 0:
        return None
    if isinstance(reply, Exception):
        raise reply
    return cast("list[bytes | None]", reply)


def _literally(text: str) -> str:
    """For MATCH patterns: the characters themselves."""
    return "".join(f"\\{letter}" if letter in "*?[]\\^-" else letter for letter in text)
