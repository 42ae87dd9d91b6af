"""A server of the test's own, and a system on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.faults.system import Server, System, breakable_server, system


@pytest.fixture
def server() -> Iterator[Server]:
    with breakable_server() as started:
        yield started


@pytest.fixture
def house(server: Server, tmp_path: Path) -> Iterator[System]:
    """One engine and one worker process."""
    with system(server.url, tmp_path) as made:
        made.engine()
        made.worker()
        yield made
