"""The simulation notices when a rule of the protocol is missing: each mutant of mutants.py violates something."""

from __future__ import annotations

import pytest

from tests.simulation.mutants import LUA_MUTANTS, MUTANTS, REDUNDANT, Mutant, applied, applied_in_lua
from tests.simulation.on_server import server_of
from tests.simulation.schedule import simulate
from tests.simulation.teeth import BUDGET, hunt, hunt_on_server, known_bites

NOTICED = [mutant for mutant in MUTANTS if mutant.name not in REDUNDANT]


@pytest.mark.parametrize("mutant", NOTICED, ids=lambda mutant: mutant.name)
def test_a_missing_rule_is_noticed(mutant: Mutant):
    seed = known_bites().get(mutant.name)
    if seed is None or not _bites(mutant, seed):
        bite = hunt(mutant, budget=BUDGET)
        assert bite.seed is not None, f"nothing notices: {mutant.name}"


def _bites(mutant: Mutant, seed: int) -> bool:
    with applied(mutant):
        return simulate(seed).violation is not None


@pytest.mark.parametrize("name", ["fences do not increase", "revoked tasks are not answered for"])
def test_a_missing_rule_of_the_scripts_is_noticed(name: str):
    mutant = next(mutant for mutant in LUA_MUTANTS if mutant.name == name)
    with server_of("valkey") as url:
        assert hunt_on_server(mutant, url, budget=10).seed is not None


@pytest.mark.parametrize("mutant", LUA_MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_of_a_script_can_be_made(mutant: Mutant):
    with applied_in_lua(mutant):
        pass


def test_a_mutant_is_gone_afterwards():
    for mutant in MUTANTS:
        with applied(mutant):
            pass
    assert simulate(3).violation is None
