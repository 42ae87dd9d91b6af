"""A shop and a gateway of a test's own: a real SQLite file, and a real process that is asked over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import PATIENCE_S
from tests.unit.workers.programs import gateway_program
from workers import shop
from workers.gateway import client, process
from workers.places import gateway_ledger


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty project folder: no test meets the files of another, or those of the checkout. Its gateway is stopped."""
    monkeypatch.setenv("SAGARUN_PROJECT_ROOT", str(tmp_path))
    for variable in ("SHOP_DB", "GATEWAY_DB", "PAYMENT_GATEWAY_URL"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("GATEWAY_IDLE_S", "60")  # should a test be killed, nothing is left for long
    yield tmp_path
    shop.close()
    client.close()
    process.stop(gateway_ledger())


@pytest.fixture
def ledger(project: Path) -> Path:
    """The ledger's file, before there is a gateway."""
    return project / ".sagarun" / "gateway.db"


@pytest.fixture
def gateway(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a running gateway. Its silences are short, and nobody loses patience before."""
    monkeypatch.setenv("GATEWAY_SILENCE_S", "0.02")
    monkeypatch.setenv("PAYMENT_GATEWAY_TIMEOUT_S", f"{PATIENCE_S}")
    started = gateway_program("start")
    assert started.returncode == 0, started.stderr
    found = process.find(ledger)
    assert found is not None
    return found.url
