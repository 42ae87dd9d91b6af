"""The client for asyncio: `Client`, awaited.

It is a module of its own because it loads asyncio, which the command line never needs and which costs a third of its
start. Rule: it adds nothing of its own; what it can do, `Client` does.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine, Iterable, Sequence
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from runner.client import Client, RunHandle, RunResult
from runner.definition.model import Definition

P = ParamSpec("P")
T = TypeVar("T")


def _awaited(
    method: Callable[Concatenate[Client, P], T],
) -> Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]:
    @functools.wraps(method)
    async def call(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await _in_thread(method, self.client, *args, **kwargs)

    return call


async def _in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    return await asyncio.to_thread(function, *args, **kwargs)


class AsyncRunHandle:
    """RunHandle, awaited."""

    def __init__(self, handle: RunHandle) -> None:
        self._handle = handle
        self.id = handle.id
        self.created = handle.created

    async def status(self) -> str:
        return await _in_thread(self._handle.status)

    async def result(self, timeout: float | None = None) -> RunResult:
        return await _in_thread(self._handle.result, timeout)


class AsyncClient:
    """Client, awaited: every call runs on a thread, because the store's connections block."""

    def __init__(self, url: str | None = None, **settings: Any) -> None:
        self.client = Client(url, **settings)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    close = _awaited(Client.close)
    list = _awaited(Client.list)
    cancel = _awaited(Client.cancel)
    abandon = _awaited(Client.abandon)
    resume = _awaited(Client.resume)
    resolve = _awaited(Client.resolve)
    signal = _awaited(Client.signal)

    async def start(
        self, workflow: str | Path | Definition, input: Any = None, idempotency_key: str | None = None
    ) -> AsyncRunHandle:
        return AsyncRunHandle(await _in_thread(self.client.start, workflow, input, idempotency_key))

    async def start_many(
        self, workflow: str | Path | Definition, inputs: Iterable[Any], idempotency_keys: Sequence[str] | None = None
    ) -> Sequence[AsyncRunHandle]:
        handles = await _in_thread(self.client.start_many, workflow, inputs, idempotency_keys)
        return [AsyncRunHandle(handle) for handle in handles]

    async def get(self, run: str) -> AsyncRunHandle:
        return AsyncRunHandle(await _in_thread(self.client.get, run))

    async def rerun(self, run: str, *, reason: str = "", by: str = "") -> AsyncRunHandle:
        return AsyncRunHandle(await _in_thread(functools.partial(self.client.rerun, run, reason=reason, by=by)))
