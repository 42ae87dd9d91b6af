"""What `rate_limit` and `max_concurrency` may say, and what is told where they cannot hold."""

from __future__ import annotations

from typing import Any

import pytest

from runner.errors import ConfigError
from runner.store import limits
from runner.store.ports import Quota
from runner.worker import quota
from runner.worker.quota import quotas_of, read_limits
from runner.worker.registry import Registry


@pytest.mark.parametrize(
    ("rate_limit", "max_concurrency", "found"),
    [
        (None, None, (0, 0, 0)),
        ("50/s", None, (0, 50, 1_000)),
        ("3000/m", 10, (10, 3_000, 60_000)),
        ("10000/h", 1_000, (1_000, 10_000, 3_600_000)),
        (None, 1, (1, 0, 0)),
    ],
)
def test_limits_are_read(rate_limit: Any, max_concurrency: Any, found: tuple[int, int, int]):
    assert read_limits(rate_limit, max_concurrency) == found


@pytest.mark.parametrize("rate_limit", ["", "50", "50/d", "5.5/s", "-5/s", "50 / s", "fifty/s", "50/s\n", 50, "50/S"])
def test_a_rate_that_is_none_is_refused_with_an_example(rate_limit: Any):
    with pytest.raises(ConfigError, match="as in \"50/s\""):
        read_limits(rate_limit, None)


@pytest.mark.parametrize(
    ("rate_limit", "hint"),
    [("0/s", "1 to 10,000 is needed$"), ("10001/s", "is needed$"), ("99999/m", '"200/s"$'), ("50000/h", '"200/m"$')],
)
def test_a_rate_out_of_bounds_is_refused_with_the_unit_that_would_do(rate_limit: str, hint: str):
    with pytest.raises(ConfigError, match=hint):
        read_limits(rate_limit, None)


@pytest.mark.parametrize("max_concurrency", [0, -1, 1_001, True, 2.0, "10"])
def test_a_concurrency_out_of_bounds_is_refused(max_concurrency: Any):
    with pytest.raises(ConfigError, match="from 1 to 1,000"):
        read_limits(None, max_concurrency)


def test_the_bounds_are_those_of_the_store():
    assert (quota.MAX_CONCURRENCY, quota.MAX_RATE) == (limits.MAX_CONCURRENCY, limits.MAX_RATE)
    assert max(quota._WINDOW_MS.values()) == limits.MAX_WINDOW_MS


def test_quotas_are_by_queue_and_only_of_workers_that_have_one():
    contracts = [
        {"name": "a.b", "queue": "a.b", "rate_limit": "5/s"}, {"name": "c.d", "queue": "slow"},
        {"name": "e.f", "queue": "gate", "max_concurrency": 2}, {"name": "g.h", "queue": "slow"},
    ]  # fmt: skip
    assert quotas_of(contracts) == {"a.b": Quota(0, 5, 1_000), "gate": Quota(2, 0, 0)}


def test_contracts_of_two_workers_on_a_limited_queue_are_refused():
    contracts = [{"name": "c.d", "queue": "gate"}, {"name": "a.b", "queue": "gate", "rate_limit": "5/s"}]
    with pytest.raises(ConfigError, match=r"'a\.b' and 'c\.d' are on one queue, 'gate'"):
        quotas_of(contracts)


# -- in the registry ----------------------------------------------------------------------------------
@pytest.fixture
def registry() -> Registry:
    return Registry()


def test_a_limit_that_is_wrong_is_told_where_the_worker_is_made(registry: Registry):
    with pytest.raises(ConfigError, match=r"^worker 'pay\.charge': rate_limit 'fast'"):
        registry.worker("pay.charge", rate_limit="fast")


@pytest.mark.parametrize("first", [True, False])
def test_a_limited_worker_shares_its_queue_with_nobody(registry: Registry, first: bool):
    limited, plain = {"queue": "gate", "max_concurrency": 2}, {"queue": "gate"}
    registry.worker("pay.charge", **(limited if first else plain))(lambda: None)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"test_quota\.py:\d+ and .*test_quota\.py:\d+: the workers 'pay.charge' and"):
        registry.worker("pay.refund", **(plain if first else limited))(lambda: 1)  # type: ignore[arg-type]


def test_nobody_may_use_the_name_of_a_limited_worker_as_a_queue(registry: Registry):
    registry.worker("pay.charge", rate_limit="5/s")(lambda: None)
    with pytest.raises(ConfigError, match="one of its own"):
        registry.worker("pay.refund", queue="pay.charge")(lambda: None)


def test_a_limited_worker_may_be_loaded_again(registry: Registry):
    for _ in range(2):
        registry.worker("pay.charge", rate_limit="5/s")(test_a_limited_worker_may_be_loaded_again)
    assert registry.quotas() == {"pay.charge": Quota(0, 5, 1_000)}


def test_limits_are_in_the_contract_of_those_that_have_them(registry: Registry):
    registry.worker("pay.charge", rate_limit="5/s", max_concurrency=2)(lambda: None)
    registry.worker("pay.look")(lambda: None)
    contracts = registry.contracts()
    assert (contracts["pay.charge"]["rate_limit"], contracts["pay.charge"]["max_concurrency"]) == ("5/s", 2)
    assert not {"rate_limit", "max_concurrency"} & contracts["pay.look"].keys()
