"""docs/state_machine.md is what the transition tables say today."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import pytest

from tests.project.repository import ROOT


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_state_machine", ROOT / "docs/generate_state_machine.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_current(generator: ModuleType) -> None:
    said = (ROOT / "docs/state_machine.md").read_text(encoding="utf-8")
    assert said == generator.page(), "run: python docs/generate_state_machine.py"


def test_a_move_that_nobody_explains_is_an_error(generator: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(generator.STEP_MOVES, next(iter(generator.STEP_MOVES)))
    with pytest.raises(ValueError, match="moves"):
        generator.page()


def test_a_status_that_nobody_explains_is_an_error(generator: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(generator.RUNS, next(iter(generator.RUNS)))
    with pytest.raises(ValueError, match="statuses"):
        generator.page()
