"""The verbs about runs that are over and are to be kept until somebody has copied them.

A record that is held stands in `expiring` at HELD_MS and when it ended, so no tick forgets it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from redis import Redis

from runner.store.base import RedisBase
from runner.store.limits import check_name, check_number
from runner.store.ports import HELD_MS, MAX_BATCH

_PAGE = 500


class EndingVerbs(RedisBase):
    """Each promise is in ports.Store."""

    def ended_runs(self, *, limit: int = 100) -> list[tuple[str, int]]:
        found: Any = self._connection.ask(
            lambda client: client.zrange(
                self._keys.expiring, HELD_MS, "+inf", byscore=True, withscores=True, offset=0, num=limit
            )
        )
        return [(run_id.decode(), int(score) - HELD_MS) for run_id, score in found]

    def hold_ended(self) -> int:
        """Not one moment: what is forgotten meanwhile was due before anybody asked for it to be held."""
        held, begin = 0, 0
        while True:
            page: Any = self._connection.ask(
                lambda client, begin=begin: client.zrange(  # type: ignore[misc]
                    self._keys.expiring, "-inf", f"({HELD_MS}", byscore=True, offset=begin, num=_PAGE
                )
            )
            ids = [run_id.decode() for run_id in page]
            unreleased = self._unreleased(ids)
            if unreleased:
                self._connection.ask(
                    lambda client, members=unreleased: client.zadd(self._keys.expiring, members, xx=True)  # type: ignore[misc]
                )
            held += len(unreleased)
            begin += len(ids) - len(unreleased)
            if len(ids) < _PAGE:
                return held

    def _unreleased(self, run_ids: list[str]) -> dict[str, int]:
        """Those of them that nobody has released, each with its new place."""

        def command(client: Redis) -> list[Any]:
            pipeline = client.pipeline(transaction=False)
            for run_id in run_ids:
                pipeline.hmget(self._keys.run(run_id), "released", "updated")
            return pipeline.execute(raise_on_error=False)

        records = zip(run_ids, self._connection.ask(command) if run_ids else (), strict=True)
        return {
            run_id: HELD_MS + int(record[1])
            for run_id, record in records if isinstance(record, list) and record[0] is None and record[1] is not None
        }

    def release_runs(self, until_ms: Mapping[str, int]) -> None:
        releases = list(until_ms.items())
        for run_id, at_ms in releases:
            check_name("run id", run_id)
            check_number("until_ms", at_ms)
        for begin in range(0, len(releases), MAX_BATCH):
            self._scripts.release_runs(releases=releases[begin : begin + MAX_BATCH])
