"""The worker processes' verbs on Redis: exchange, beat, register, retire, reap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import msgspec
from redis import Redis

from runner.errors import StoreError
from runner.store import limits
from runner.store.base import RedisBase
from runner.store.ports import (
    BeatAnswer,
    Completion,
    CompletionAnswer,
    ExchangeAnswer,
    ProcessInfo,
    Quota,
)
from runner.store.records import read_claimed
from runner.store.vitals import Vitals

_COMPLETIONS: dict[str, CompletionAnswer] = {"r": "recorded", "d": "duplicate", "s": "stale", "t": "tampered"}
_BEATS: dict[str, BeatAnswer] = {"h": "held", "l": "lost", "c": "cancelled"}


class TaskVerbs(RedisBase):
    """Each promise is in ports.Store."""

    def exchange(
        self, process: str, nonce: str, *, completions: Sequence[Completion] = (), queues: Sequence[str] = (),
        quotas: Mapping[str, Quota] = {}, capacity: int = 0, lease_ms: int = limits.LEASE_MS,
    ) -> ExchangeAnswer:
        """More completions than one call holds go first, without claiming, each part under a nonce of its own."""
        limits.check_name("process id", process)
        limits.check_name("nonce", nonce)
        limits.check_number("capacity", capacity)
        for completion in completions:
            limits.check_completion(completion)
        for queue in queues:
            limits.check_name("queue", queue)
        for queue, quota in quotas.items():
            limits.check_quota(queue, quota)
        batches = list(limits.batches(completions, lambda each: len(each.body) + len(each.output))) or [()]
        answers: list[CompletionAnswer] = []
        again = ""
        for position, batch in enumerate(batches):
            is_last = position == len(batches) - 1
            reply = self._scripts.exchange_tasks(
                process=process, nonce=nonce if is_last else f"{nonce}.{position}", lease_ms=lease_ms,
                capacity=capacity if is_last else 0, queues=queues if is_last else (), quotas=quotas, completions=batch,
            )
            if not reply:
                return ExchangeAnswer(alive=False)
            letters, _, again = reply[0].decode().partition("|")
            answers += [_COMPLETIONS[letter] for letter in letters]
        claimed = tuple(read_claimed(reply[begin : begin + 6]) for begin in range(1, len(reply), 6))
        return ExchangeAnswer(alive=True, completions=tuple(answers), claimed=claimed, again_ms=int(again or 0))

    def beat(
        self, process: str, tasks: Sequence[tuple[str, str, str]], *, lease_ms: int = limits.LEASE_MS,
        vitals: Vitals | None = None,
    ) -> list[BeatAnswer] | None:
        answers: list[BeatAnswer] = []
        said = msgspec.json.encode(vitals) if vitals is not None else b""
        for batch in list(limits.batches(tasks, lambda _: 0)) or [()]:
            reply = self._scripts.beat_process(process=process, lease_ms=lease_ms, vitals=said, tasks=batch)
            if reply == b"gone":
                return None
            answers += [_BEATS[letter] for letter in reply.decode()]
        return answers

    def wait_for_tasks(self, queues: Sequence[str], timeout_s: float) -> bool:
        return self._connection.wait([self._keys.wake_queue(queue) for queue in queues], timeout_s)

    def register(self, process: ProcessInfo, *, lease_ms: int = limits.LEASE_MS) -> None:
        """Raises StoreError for the id of a reaped process: those never come back."""
        limits.check_process(process)
        reply = self._scripts.register_process(
            process=process.id, lease_ms=lease_ms, info=msgspec.json.encode(process)
        )
        if reply == b"reaped":
            raise StoreError(f"process {process.id} was reaped: it must take a new id")

    def retire(self, process: str) -> None:
        self._reap(process, only_if_due=False)

    def reap(self, process: str) -> int:
        lost, rearmed = self._reap(process, only_if_due=False)
        return lost + rearmed

    def processes(self) -> list[ProcessInfo]:
        ids = sorted(name.decode() for name in self._connection.ask(self._read_process_ids))
        rows = self._connection.ask(lambda client: self._read_processes(client, ids))
        found = []
        for (info, seen, vitals), held in zip(rows[::2], rows[1::2], strict=True):
            if info is not None:  # reaped between the two looks
                process = msgspec.json.decode(info, type=ProcessInfo)
                found.append(msgspec.structs.replace(
                    process, seen_at_ms=int(seen or 0), held=held,
                    vitals=msgspec.json.decode(vitals, type=Vitals) if vitals else None,
                ))
        return found

    def _read_process_ids(self, client: Redis) -> list[bytes]:
        return cast(list[bytes], client.zrange(self._keys.procs, 0, -1))

    def _read_processes(self, client: Redis, ids: Sequence[str]) -> list[list[bytes | None]]:
        pipeline = client.pipeline(transaction=False)
        for process in ids:
            pipeline.hmget(self._keys.process(process), "info", "seen", "vitals")
            pipeline.scard(self._keys.held(process))
        return pipeline.execute()
