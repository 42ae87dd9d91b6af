"""What a worker allows all processes together: `rate_limit="50/s"`, `max_concurrency=10`.

A quota belongs to a queue, because that is where tasks are claimed. So a worker that has one shares its queue with
nobody: two workers on it would each be held to what the other takes. The child of a worker process reads this too, so
nothing of the store is imported before it is needed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from runner.errors import ConfigError

if TYPE_CHECKING:
    from runner.store.ports import Quota

MAX_CONCURRENCY = 1_000  # as in runner.store.limits
MAX_RATE = 10_000
_RATE = re.compile(r"(\d+)/([smh])")
_WINDOW_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000}
_BETTER = {"s": "", "m": ', or a rate a second, as in "200/s"', "h": ', or a rate a minute, as in "200/m"'}


def read_limits(rate_limit: Any, max_concurrency: Any) -> tuple[int, int, int]:
    """How many at once, and how many in how many ms; 0: any. Raises ConfigError, saying what is wrong."""
    slots = 0 if max_concurrency is None else max_concurrency
    if max_concurrency is not None and not (type(slots) is int and 1 <= slots <= MAX_CONCURRENCY):
        raise ConfigError(f"max_concurrency {slots!r}: a whole number from 1 to {MAX_CONCURRENCY:,} is needed")
    return slots, *(_read_rate(rate_limit) if rate_limit is not None else (0, 0))


def quotas_of(contracts: Iterable[Mapping[str, Any]]) -> dict[str, Quota]:
    """By queue, of the workers that have one. Raises ConfigError where such a worker is not alone on its queue."""
    from runner.store.ports import Quota

    named: dict[str, list[str]] = {}
    quotas: dict[str, Quota] = {}
    for contract in contracts:
        queue = contract["queue"]
        named.setdefault(queue, []).append(contract["name"])
        limits = read_limits(contract.get("rate_limit"), contract.get("max_concurrency"))
        if any(limits):
            quotas[queue] = Quota(*limits)
    for queue in quotas:
        if len(named[queue]) > 1:
            raise ConfigError(shared_queue(queue, named[queue]))
    return quotas


def shared_queue(queue: str, names: Iterable[str]) -> str:
    """What is wrong where a limited worker shares its queue."""
    workers = " and ".join(repr(name) for name in sorted(names))
    return (
        f"the workers {workers} are on one queue, {queue!r}; a worker with a rate_limit or max_concurrency needs one "
        "of its own: leave `queue` out"
    )


def _read_rate(text: Any) -> tuple[int, int]:
    match = _RATE.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ConfigError(f'rate_limit {text!r}: a number a second, minute or hour is needed, as in "50/s", "3000/m"')
    if not 1 <= int(match[1]) <= MAX_RATE:
        raise ConfigError(f"rate_limit {text!r}: 1 to {MAX_RATE:,} is needed{_BETTER[match[2]]}")
    return int(match[1]), _WINDOW_MS[match[2]]
