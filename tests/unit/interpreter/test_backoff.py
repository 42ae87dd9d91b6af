"""How long a retry waits: by the policy, spread by a jitter that is the same at every replay."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.definition.model import PATIENT, Retry
from runner.interpreter.backoff import delay_ms

POLICIES = st.builds(
    Retry,
    backoff=st.sampled_from(["fixed", "linear", "exponential"]),
    initial_ms=st.integers(0, 315_360_000_000),
    max_ms=st.integers(0, 315_360_000_000),
    multiplier=st.floats(1, 100),
    jitter=st.sampled_from(["none", "full"]),
)
ATTEMPTS = st.integers(1, 1_000)


def waits(retry: Retry) -> list[int]:
    return [delay_ms(retry, attempt, seed="run1/pay:action") for attempt in range(1, 6)]


@pytest.mark.parametrize(
    ("backoff", "expected"),
    [
        ("fixed", [100, 100, 100, 100, 100]),
        ("linear", [100, 200, 300, 400, 500]),
        ("exponential", [100, 300, 900, 2_700, 5_000]),
    ],
)
def test_the_wait_grows_as_the_policy_says_up_to_its_maximum(backoff: str, expected: list[int]) -> None:
    retry = Retry(backoff=backoff, initial_ms=100, max_ms=5_000, multiplier=3, jitter="none")  # type: ignore[arg-type]
    assert waits(retry) == expected


@given(POLICIES, ATTEMPTS)
def test_no_wait_is_shorter_than_a_millisecond_or_longer_than_the_maximum(retry: Retry, attempt: int) -> None:
    assert 1 <= delay_ms(retry, attempt, seed="x") <= max(1, retry.max_ms)


@given(POLICIES, ATTEMPTS, st.text(max_size=20))
def test_the_same_attempt_of_the_same_step_waits_the_same(retry: Retry, attempt: int, seed: str) -> None:
    assert delay_ms(retry, attempt, seed=seed) == delay_ms(retry, attempt, seed=seed)


def test_full_jitter_spreads_runs_over_the_whole_wait() -> None:
    spread = [delay_ms(PATIENT, 8, seed=f"run{number}/pay:action") for number in range(400)]
    assert len(set(spread)) > 390
    assert min(spread) < 12_800 * 2
    assert max(spread) > 128_000 - 12_800 * 2
    assert 50_000 < sum(spread) / len(spread) < 78_000


def test_attempts_of_one_step_do_not_share_their_jitter() -> None:
    fixed = Retry(backoff="fixed", initial_ms=100_000, max_ms=100_000)
    assert len(set(waits(fixed))) == 5
