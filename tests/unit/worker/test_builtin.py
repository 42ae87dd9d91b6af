"""The workers that come with sagarun: known everywhere, and waited for by nobody who does not use them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from runner.builtin import builtin_contracts
from runner.errors import ConfigError
from runner.worker.builtin import BUILTIN, exported
from runner.worker.registry import REGISTRY, Registry, load_modules

ROOT = Path(__file__).parents[3]


def test_the_exported_contracts_are_those_of_the_code():
    """Stale: python -m runner.worker.builtin > schemas/builtin.json"""
    assert (ROOT / "schemas/builtin.json").read_text() == exported()


def test_they_are_hosted_without_any_module():
    assert {each.name for each in BUILTIN} <= {each.name for each in load_modules(())}


def test_they_are_published_as_they_were_exported():
    assert {name: REGISTRY.contracts()[name] for name in builtin_contracts()} == builtin_contracts()


def test_a_worker_of_ones_own_does_not_take_the_name_of_one(monkeypatch: pytest.MonkeyPatch):
    registry = Registry(BUILTIN)
    with pytest.raises(ConfigError, match=r"two workers are named 'http\.request': runner/worker/builtin\.py:\d+ and"):
        registry.worker("http.request")(lambda: None)


def test_modules_without_a_worker_are_told_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("runner.worker.registry.REGISTRY", Registry(BUILTIN))
    (tmp_path / "nothing_in_here.py").touch()
    with pytest.raises(ConfigError, match="no @worker in nothing_in_here"):
        load_modules(["nothing_in_here"])


@pytest.mark.parametrize(
    "program",
    ["import runner.worker", "from runner.worker.registry import load_modules; load_modules(()).contracts()"],
)
def test_nobody_waits_for_what_he_does_not_use(program: str):
    code = f"import sys; {program}; print(*sys.modules)"
    report = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(report.stdout.split())
    assert loaded & {"httpx", "httpcore", "pydantic", "anyio", "ssl", "runner.worker.http.request"} == set()
