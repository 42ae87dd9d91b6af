"""What is to be seen at this moment: queues as they are, and what was counted. Plain commands, no scripts."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Sequence
from typing import Any, cast

from redis import Redis
from redis.exceptions import ResponseError

from runner.store import figures
from runner.store.base import RedisBase
from runner.store.keys import TASK
from runner.store.limits import check_alert
from runner.store.observations import AlertRow, Figures, QueueInfo
from runner.store.ports import TaskRecord
from runner.store.records import read_alert, read_task

HEADS = 5  # of a queue: the first may not be current any more


class GaugeVerbs(RedisBase):
    """Each promise is in ports.Store."""

    def figures(self, window_ms: int = 0) -> Figures:
        now_ms = self._scripts.read_clock()
        spans, since_ms = figures.spans(window_ms, now_ms)

        def command(client: Redis) -> list[Any]:
            pipeline = client.pipeline(transaction=False)
            for span in ("last", *spans):
                pipeline.hgetall(self._keys.figures(span))
            return pipeline.execute(raise_on_error=False)

        last, *hashes = [_numbers(reply) for reply in self._connection.ask(command)]
        return figures.figures_of(hashes, last, since_ms, now_ms)

    def queues(self) -> list[QueueInfo]:
        names = sorted(name.decode() for name in self._connection.ask(self._read_queues))
        heads = self._connection.ask(lambda client: self._read_heads(client, names))
        running = Counter(task.queue for task in self._held() if task is not None and task.state == "R")
        found = []
        for name, depth, refs in zip(names, heads[::2], heads[1::2], strict=True):
            waiting = [task for task in self._tasks(refs) if task is not None and task.state == "Q"]
            oldest_at_ms = waiting[0].queued_at_ms if waiting else 0
            found.append(QueueInfo(name, depth, oldest_at_ms, running[name]))
        return found

    def note_alert(self, name: str, nonce: str, *, firing: bool, cool_down_ms: int, body: bytes) -> bool:
        check_alert(name, nonce, cool_down_ms, body)
        return bool(self._scripts.note_alert(
            name=name, nonce=nonce, firing=firing, cool_down_ms=cool_down_ms, body=body
        ))

    def alerts(self) -> list[AlertRow]:
        rows: Any = self._connection.ask(lambda client: client.hgetall(self._keys.alerts))
        return [read_alert(name.decode(), row) for name, row in sorted(rows.items())]

    def _read_queues(self, client: Redis) -> set[bytes]:
        return cast(set[bytes], client.smembers(self._keys.queues))

    def _read_heads(self, client: Redis, names: Sequence[str]) -> list[Any]:
        pipeline = client.pipeline(transaction=False)
        for name in names:
            pipeline.llen(self._keys.queue(name))
            pipeline.lrange(self._keys.queue(name), 0, HEADS - 1)
        return pipeline.execute()

    def _held(self) -> list[TaskRecord | None]:
        """Every task that a process holds."""

        def command(client: Redis) -> list[Any]:
            processes = cast(list[bytes], client.zrange(self._keys.procs, 0, -1))
            pipeline = client.pipeline(transaction=False)
            for process in processes:
                pipeline.smembers(self._keys.held(process.decode()))
            return pipeline.execute()

        return self._tasks([ref for refs in self._connection.ask(command) for ref in refs])

    def _tasks(self, refs: Sequence[bytes]) -> list[TaskRecord | None]:
        """The open tasks that these refs name; None for one that is not current any more."""
        named = [ref.decode().split("|")[:3] for ref in refs]
        if not named:
            return []

        def command(client: Redis) -> list[Any]:
            pipeline = client.pipeline(transaction=False)
            for run_id, path, _ in named:
                pipeline.hget(self._keys.run(run_id), TASK + path)
            return pipeline.execute(raise_on_error=False)

        found = []
        for (_, _, token), reply in zip(named, self._connection.ask(command), strict=True):
            task = read_task(reply) if isinstance(reply, bytes) else None
            found.append(task if task is not None and task.token == token else None)
        return found


def _numbers(reply: Any) -> dict[str, int]:
    """Of a hash of figures. What is none was put there by somebody else, and is for nobody to see."""
    if isinstance(reply, ResponseError) and "WRONGTYPE" in str(reply):
        return {}
    if isinstance(reply, Exception):
        raise reply
    numbers = {}
    for name, value in reply.items():
        with contextlib.suppress(ValueError):
            numbers[name.decode()] = int(value)
    return numbers
