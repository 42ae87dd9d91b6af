"""The barrier for effects in a Redis of the user's own, on a real server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from runner.errors import AlreadyUndone
from runner.worker.barrier_redis import Once, run_once
from runner.worker.context import fake_context

ADD = "return tostring(redis.call('INCRBY', KEYS[1], ARGV[1]))"


@pytest.fixture(params=[True, False], ids=["text", "bytes"])
def client(request: pytest.FixtureRequest, valkey_url: str) -> Iterator[Any]:
    opened = redis.Redis.from_url(valkey_url, decode_responses=request.param)
    yield opened
    opened.close()


class Account:
    def __init__(self, client: Any, namespace: str) -> None:
        self.client = client
        self.key = f"{namespace}:account"
        self.run_id = namespace

    def run(self, phase: str = "action", amount: int = 5, effect: str = ADD, **fields: Any) -> Once:
        context = fake_context(phase=phase, run_id=self.run_id, **fields)
        return run_once(context, self.client, effect, keys=[self.key], args=[amount])

    def balance(self) -> int:
        return int(self.client.get(self.key) or 0)


@pytest.fixture
def account(client: Any, namespace: str) -> Iterator[Account]:
    opened = Account(client, namespace)
    yield opened
    client.delete(opened.key, f"sagarun:barrier:{namespace}/step")


def test_the_first_time_is_run(account: Account):
    assert account.run() == Once(False, False, 5)
    assert account.balance() == 5


def test_a_repeat_gives_the_stored_result(account: Account):
    account.run()
    assert account.run() == Once(True, False, 5)
    assert account.balance() == 5


def test_an_undo_is_run_once(account: Account):
    account.run()
    assert account.run("compensate", -5) == Once(False, False, 0)
    assert account.run("compensate", -5) == Once(True, False, 0)
    assert account.balance() == 0


def test_an_undo_of_an_action_that_never_ran_keeps_the_action_out(account: Account):
    assert account.run("compensate", -5) == Once(True, True, None)
    with pytest.raises(AlreadyUndone):
        account.run()
    assert account.balance() == 0


def test_an_action_that_arrives_after_its_undo_is_refused(account: Account):
    account.run()
    account.run("compensate", -5)
    with pytest.raises(AlreadyUndone):
        account.run()


def test_a_verification_sees_what_landed(account: Account):
    assert account.run("verify") == Once(False, False, None)
    account.run()
    assert account.run("verify", fencing=True) == Once(True, False, 5)


def test_a_fencing_verification_keeps_the_action_out(account: Account):
    context = fake_context(phase="verify", run_id=account.run_id, fencing=True)
    assert run_once(context, account.client, "") == Once(False, False, None)
    assert context._fenced
    with pytest.raises(AlreadyUndone):
        account.run()


def test_an_effect_that_refuses_leaves_no_row(account: Account):
    refuse = "return redis.error_reply('EMPTY nothing left')"
    with pytest.raises(redis.ResponseError, match="nothing left"):
        account.run(effect=refuse)
    assert account.run() == Once(False, False, 5)


def test_a_result_that_is_no_text_is_made_json(account: Account):
    assert account.run(effect="return {1, 2}").result == [1, 2]
    assert account.run(effect="").result == [1, 2]


def test_an_effect_without_result_is_null(account: Account):
    assert account.run(effect="redis.call('SET', KEYS[1], '7')").result is None


def test_the_row_does_not_stay_for_ever(account: Account):
    account.run()
    assert 0 < account.client.ttl(f"sagarun:barrier:{account.run_id}/step") <= 30 * 86_400
