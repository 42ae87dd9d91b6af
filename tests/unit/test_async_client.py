"""The client for asyncio."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from runner.async_client import AsyncClient
from runner.errors import VerbRefused
from runner.starting import derived_run_id
from tests.desk import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_the_asynchronous_client_does_the_same(desk: Desk, tmp_path: Path):
    async def story() -> str:
        async with AsyncClient(store=desk.store, root=tmp_path) as client:
            handle = await client.start(desk.definition, {"id": "A-1"})
            desk.work()
            assert [info.run_id for info in await client.list()] == [handle.id]
            assert (await (await client.get(handle.id[:6])).result(0)).status == "completed"
            with pytest.raises(VerbRefused):
                await client.cancel(handle.id)
            return (await client.rerun(handle.id)).id

    run_id = asyncio.run(story())
    assert run_id == derived_run_id("desk", "order", "A-1~2")
