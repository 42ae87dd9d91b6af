"""How many Redis commands a workflow costs, those inside scripts included: a count, so noise cannot hide a loss.

Fifty runs of five steps go through take, commit and exchange in full batches, as under load.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest
from redis import Redis

from runner.store.ports import Commit, Completion, Dispatch, NewRun, ProcessInfo, Quota, TakenRun
from runner.store.redis_store import RedisStore
from tests.servers import private_server, valkey_binary

RUNS = 50
STEPS = ("validate", "reserve", "charge", "ship", "notify")
BUDGET = 60  # commands a run; measured 58.9, of which a script of its own costs 0.02 for each batch
CALLS = 0.6  # scripts a run; measured 0.5
QUOTA = 2  # commands more, where a queue has slots and a rate


@pytest.fixture
def own_server() -> Iterator[str]:
    with private_server(valkey_binary()) as url:
        yield url


def next_commit(run: TakenRun, done: dict[str, int], nonce: str) -> Commit:
    position = done.get(run.run_id, 0)
    done[run.run_id] = position + 1
    if position == len(STEPS):
        return Commit(run.run_id, run.etag, nonce, 1, b"state", "completed", True, history=(b"e",), retention_ms=10**9,
                      last_seen=run.entries[0].mark)  # fmt: skip
    step = STEPS[position]
    return Commit(
        run.run_id, run.etag, nonce, len(run.entries), b"state", "running",
        writes={f"node:{step}": b"node", f"payload:{step}": b"payload"},
        dispatches=(Dispatch(step, "q", b"message", f"payload:{step}"),), history=(b"e1", b"e2"),
        last_seen=run.entries[-1].mark,
    )


def drive(store: RedisStore, quotas: Mapping[str, Quota] = {}) -> None:
    store.register(ProcessInfo("engine", "engine", "host", 1))
    store.register(ProcessInfo("worker", "worker", "host", 1))
    store.start([NewRun(f"r{number}", "n", "d", b"{}", b"input") for number in range(RUNS)])
    done: dict[str, int] = {}
    completions: list[Completion] = []
    for turn in range(len(STEPS) + 1):
        taken = store.take_runs("engine", f"t{turn}", limit=RUNS, lease_ms=15_000)
        assert len(taken) == RUNS
        assert set(store.commit([next_commit(run, done, f"e{turn}") for run in taken])) == {"ok"}
        for number in range(2):  # one to claim, one to hand in
            answer = store.exchange(
                "worker", f"x{turn}.{number}", completions=completions, queues=["q"], quotas=quotas, capacity=RUNS
            )
            completions = [Completion(task.run_id, task.path, task.token, b"outcome") for task in answer.claimed]
    assert store.count_live() == 0


def count(url: str, quotas: Mapping[str, Quota] = {}) -> dict[str, float]:
    """Commands a run, by name."""
    drive(RedisStore.connect(url, namespace="loads-the-scripts"), quotas)
    store = RedisStore.connect(url, namespace="budget")
    client = Redis.from_url(url)
    client.config_resetstat()
    drive(store, quotas)
    stats = client.info("commandstats")
    store.close()
    client.close()
    return {name.removeprefix("cmdstat_"): row["calls"] / RUNS for name, row in stats.items()}


def test_a_five_step_run_stays_within_its_commands(own_server: str, capsys: pytest.CaptureFixture[str]):
    counts = count(own_server)
    total = sum(counts.values())
    with capsys.disabled():
        rows = sorted(counts.items(), key=lambda row: -row[1])[:6]
        print(f"\n{total:.1f} commands a five-step run: " + ", ".join(f"{name} {count:.1f}" for name, count in rows))
    assert total <= BUDGET
    assert counts["evalsha"] <= CALLS


def test_a_quota_costs_a_few_commands_a_batch_and_none_a_task(own_server: str, capsys: pytest.CaptureFixture[str]):
    """Of a queue that has none nothing is read or written: what the budget above counts is all."""
    counts = count(own_server, {"q": Quota(1_000, 10_000, 1_000)})
    total = sum(counts.values())
    with capsys.disabled():
        print(f"\n{total:.1f} commands with a quota")
    assert total <= BUDGET + QUOTA
