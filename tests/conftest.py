"""What every test may ask for: a real server to share, and a namespace on it that is the test's own.

valkey_url   the Valkey that the project installs          redis7_url   the distribution's Redis, or a skip
namespace    different for every test; its keys start with "{<namespace>"

The servers live as long as the test session, keep nothing on disk, and are shared: take a `namespace`, do not
flush them, do not change their settings (tests/servers.py starts one that is yours alone).
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from tests.servers import private_server, redis_binary, valkey_binary


@pytest.fixture(scope="session")
def valkey_url() -> Iterator[str]:
    with private_server(valkey_binary()) as url:
        yield url


@pytest.fixture(scope="session")
def redis7_url() -> Iterator[str]:
    with private_server(redis_binary()) as url:
        yield url


@pytest.fixture
def namespace() -> str:
    return f"test-{secrets.token_hex(6)}"
