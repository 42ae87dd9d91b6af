"""What every store promises about quotas: how many tasks of a queue run at once, and how many are claimed in a window.

All processes count together, and each claim is held to the numbers of the process that claims.
"""

from __future__ import annotations

import pytest

from runner.store.limits import MAX_CONCURRENCY, MAX_RATE, MAX_WINDOW_MS
from runner.store.ports import ClaimedTask, Completion, Quota
from tests.conformance.store_world import LEASE_MS, StoreWorld

TWO_AT_ONCE = {"q": Quota(max_concurrency=2)}
THREE_A_SECOND = {"q": Quota(rate=3, window_ms=1_000)}


@pytest.fixture
def waiting(world: StoreWorld) -> StoreWorld:
    """Twelve tasks in the queue q, and two processes."""
    for number in range(12):
        world.running(f"r{number:02}", "a")
    world.process("one")
    world.process("two")
    return world


def claim(
    world: StoreWorld, process: str, quotas: dict[str, Quota], *, capacity: int = 9, queues: tuple[str, ...] = ("q",)
) -> list[ClaimedTask]:
    return world.claim(process, queues=queues, capacity=capacity, quotas=quotas)


def done(*tasks: ClaimedTask, lost: bool = False) -> list[Completion]:
    return [Completion(task.run_id, task.path, task.token, b"outcome", lost) for task in tasks]


# -- how many at once -------------------------------------------------------------------------------
def test_no_more_run_at_once_than_there_are_slots_over_all_processes(waiting: StoreWorld):
    assert len(claim(waiting, "one", TWO_AT_ONCE, capacity=1)) == 1
    assert len(claim(waiting, "two", TWO_AT_ONCE)) == 1
    assert claim(waiting, "one", TWO_AT_ONCE) == []
    assert waiting.store.queue_depths() == {"q": 10}


def test_the_end_of_a_task_makes_its_slot_free_in_the_same_exchange(waiting: StoreWorld):
    first, _ = claim(waiting, "one", TWO_AT_ONCE)
    answer = waiting.exchange("one", completions=done(first), queues=["q"], capacity=9, quotas=TWO_AT_ONCE)
    assert (answer.completions, len(answer.claimed), answer.again_ms) == (("recorded",), 1, 0)


@pytest.mark.parametrize("lost", [True, False])
def test_a_slot_that_gets_free_wakes_a_process_that_waits(waiting: StoreWorld, lost: bool):
    first, _ = claim(waiting, "one", TWO_AT_ONCE)
    assert claim(waiting, "two", TWO_AT_ONCE) == []
    assert waiting.store.wait_for_tasks(["q"], 0.01) is False
    waiting.exchange("one", completions=done(first, lost=lost), quotas=TWO_AT_ONCE)
    assert waiting.store.wait_for_tasks(["q"], 5) is True
    assert len(claim(waiting, "two", TWO_AT_ONCE)) == 1


def test_what_a_full_queue_holds_back_wakes_nobody(waiting: StoreWorld):
    claim(waiting, "one", TWO_AT_ONCE)
    assert waiting.store.wait_for_tasks(["q"], 0.01) is False
    waiting.running("more", "a")
    assert waiting.store.wait_for_tasks(["q"], 0.01) is False


def test_a_full_process_leaves_free_slots_to_others(waiting: StoreWorld):
    claim(waiting, "one", TWO_AT_ONCE, capacity=1)
    assert waiting.store.wait_for_tasks(["q"], 5) is True


def test_a_task_of_an_ended_run_keeps_its_slot_until_its_process_is_rid_of_it(waiting: StoreWorld):
    first, _ = claim(waiting, "one", TWO_AT_ONCE)
    waiting.end(first.run_id)
    assert claim(waiting, "two", TWO_AT_ONCE) == []
    answer = waiting.exchange("one", completions=done(first), quotas=TWO_AT_ONCE)
    assert answer.completions == ("stale",)
    assert len(claim(waiting, "two", TWO_AT_ONCE)) == 1


def test_a_slot_is_given_up_a_lease_after_its_task_was_seen_to_be_over(waiting: StoreWorld):
    first, _ = claim(waiting, "one", TWO_AT_ONCE)
    waiting.end(first.run_id)
    assert claim(waiting, "two", TWO_AT_ONCE) == []
    waiting.pass_time(LEASE_MS - 1, "one", "two")
    assert claim(waiting, "two", TWO_AT_ONCE) == []
    waiting.pass_time(1, "one", "two")
    assert len(claim(waiting, "two", TWO_AT_ONCE)) == 1


def test_the_slots_of_a_dead_process_are_free(waiting: StoreWorld):
    claim(waiting, "one", TWO_AT_ONCE)
    assert claim(waiting, "two", TWO_AT_ONCE) == []
    waiting.store.reap("one")
    assert len(claim(waiting, "two", TWO_AT_ONCE)) == 2


def test_the_slots_of_a_process_that_is_silent_are_free_when_its_leases_are_over(waiting: StoreWorld):
    claim(waiting, "one", TWO_AT_ONCE)
    waiting.pass_time(2 * LEASE_MS - 1, "two")
    assert claim(waiting, "two", TWO_AT_ONCE) == []
    waiting.pass_time(1, "two")
    assert len(claim(waiting, "two", TWO_AT_ONCE)) == 2


def test_slots_are_counted_for_each_queue(waiting: StoreWorld):
    waiting.running("other", "b", queue="p")
    quotas = {"q": Quota(max_concurrency=1), "p": Quota(max_concurrency=1)}
    claimed = claim(waiting, "one", quotas, queues=("q", "p"))
    assert [task.path for task in claimed] == ["a", "b"]


def test_each_claim_is_held_to_the_slots_of_the_process_that_claims(waiting: StoreWorld):
    """As while a change of the number is rolled out."""
    assert len(claim(waiting, "one", {"q": Quota(max_concurrency=4)})) == 4
    assert claim(waiting, "two", TWO_AT_ONCE) == []
    assert len(claim(waiting, "one", {"q": Quota(max_concurrency=5)})) == 1


def test_a_process_without_a_quota_is_neither_held_nor_counted(waiting: StoreWorld):
    assert len(claim(waiting, "one", {}, capacity=5)) == 5
    assert len(claim(waiting, "two", TWO_AT_ONCE)) == 2


# -- how many in a window ---------------------------------------------------------------------------
def test_no_more_are_claimed_in_a_window_over_all_processes(waiting: StoreWorld):
    assert len(claim(waiting, "one", THREE_A_SECOND, capacity=2)) == 2
    assert len(claim(waiting, "two", THREE_A_SECOND)) == 1
    waiting.clock.advance(999)
    assert claim(waiting, "one", THREE_A_SECOND) == []
    waiting.clock.advance(1)
    assert len(claim(waiting, "one", THREE_A_SECOND)) == 3


def test_the_window_slides_with_every_claim(waiting: StoreWorld):
    """Not one count a second, which lets through twice as many around its turn."""
    claimed_at = []
    for _ in range(30):
        claimed_at += [task.claimed_at_ms for task in claim(waiting, "one", THREE_A_SECOND, capacity=1)]
        waiting.clock.advance(130)
    assert len(claimed_at) == 12
    assert all(later - earlier >= 1_000 for earlier, later in zip(claimed_at, claimed_at[3:], strict=False))


def test_the_answer_says_when_the_next_one_may_be_claimed(waiting: StoreWorld):
    claim(waiting, "one", THREE_A_SECOND, capacity=1)
    waiting.clock.advance(400)
    answer = waiting.exchange("one", queues=["q"], capacity=9, quotas=THREE_A_SECOND)
    assert (len(answer.claimed), answer.again_ms) == (2, 600)
    waiting.clock.advance(answer.again_ms)
    assert len(claim(waiting, "one", THREE_A_SECOND)) == 1


def test_after_a_whole_window_was_claimed_at_once_the_next_is_a_window_away(waiting: StoreWorld):
    answer = waiting.exchange("one", queues=["q"], capacity=9, quotas=THREE_A_SECOND)
    assert (len(answer.claimed), answer.again_ms) == (3, 1_000)


def test_a_repeat_says_the_same(waiting: StoreWorld):
    first = waiting.store.exchange("one", "x", queues=["q"], capacity=9, quotas=THREE_A_SECOND)
    assert waiting.store.exchange("one", "x", queues=["q"], capacity=9, quotas=THREE_A_SECOND) == first
    assert first.again_ms == 1_000
    assert len(claim(waiting, "two", THREE_A_SECOND)) == 0


def test_idle_processes_do_not_ask_for_every_millisecond(waiting: StoreWorld):
    """The more of them there are, the less often each asks: together 500 times a second at most."""
    often = {"q": Quota(rate=2, window_ms=2)}
    for number in range(8):
        waiting.process(f"another{number}")
    assert waiting.exchange("one", queues=["q"], capacity=9, quotas=often).again_ms == 20


def test_where_nothing_is_held_back_there_is_no_time_to_ask_again(waiting: StoreWorld):
    for _ in range(4):
        assert waiting.exchange("one", queues=["q"], capacity=2, quotas=THREE_A_SECOND).again_ms in (0, 1_000)
        waiting.clock.advance(1_000)
    last = waiting.exchange("one", queues=["q"], capacity=9, quotas=THREE_A_SECOND)
    assert (len(last.claimed), last.again_ms) == (3, 1_000)
    waiting.clock.advance(1_000)
    last = waiting.exchange("one", queues=["q"], capacity=9, quotas=THREE_A_SECOND)
    assert (len(last.claimed), last.again_ms) == (1, 0)
    assert waiting.exchange("one", queues=["q"], capacity=9, quotas=THREE_A_SECOND).again_ms == 0


def test_one_more_process_learns_when_to_ask_again_and_no_third_is_woken(waiting: StoreWorld):
    claim(waiting, "one", THREE_A_SECOND)
    assert waiting.store.wait_for_tasks(["q"], 5) is True
    assert waiting.exchange("two", queues=["q"], capacity=9, quotas=THREE_A_SECOND).again_ms == 1_000
    assert waiting.store.wait_for_tasks(["q"], 0.01) is False


def test_a_process_that_is_full_of_other_tasks_wakes_nobody_for_what_the_rate_holds_back(waiting: StoreWorld):
    waiting.running("other", "b1", "b2", queue="p")
    claim(waiting, "one", THREE_A_SECOND)
    claim(waiting, "two", THREE_A_SECOND)
    assert len(claim(waiting, "one", THREE_A_SECOND, queues=("p", "q"), capacity=2)) == 2
    assert waiting.store.wait_for_tasks(["q"], 0.01) is False


def test_other_queues_are_served_while_one_is_held_back(waiting: StoreWorld):
    waiting.running("other", "b", queue="p")
    claim(waiting, "one", THREE_A_SECOND)
    assert [task.path for task in claim(waiting, "one", THREE_A_SECOND, queues=("q", "p"))] == ["b"]


def test_each_claim_is_held_to_the_rate_of_the_process_that_claims(waiting: StoreWorld):
    """Also where another counts in a shorter window: what it claimed is not forgotten with that."""
    in_short = {"q": Quota(rate=2, window_ms=100)}
    in_long = {"q": Quota(rate=5, window_ms=60_000)}
    for _ in range(3):
        assert len(claim(waiting, "one", in_short)) == 2
        waiting.clock.advance(100)
    assert claim(waiting, "two", in_long) == []
    assert len(claim(waiting, "one", in_short)) == 2


def test_a_task_that_was_taken_back_uses_up_nothing(waiting: StoreWorld):
    for number in range(9):
        waiting.end(f"r{number:02}")
    assert len(claim(waiting, "one", {"q": Quota(2, 3, 1_000)})) == 2


def test_slots_and_rate_hold_together(waiting: StoreWorld):
    quotas = {"q": Quota(max_concurrency=2, rate=3, window_ms=1_000)}
    first = waiting.exchange("one", queues=["q"], capacity=9, quotas=quotas)
    assert (len(first.claimed), first.again_ms) == (2, 0)
    answer = waiting.exchange("one", completions=done(*first.claimed), queues=["q"], capacity=9, quotas=quotas)
    assert (len(answer.claimed), answer.again_ms) == (1, 1_000)


@pytest.mark.parametrize(
    "quota", [Quota(-1), Quota(MAX_CONCURRENCY + 1), Quota(0, MAX_RATE + 1, 1_000), Quota(0, 5, MAX_WINDOW_MS + 1),
              Quota(0, 5, 0)],
)  # fmt: skip
def test_a_quota_that_makes_no_sense_is_refused_before_anything_is_sent(world: StoreWorld, quota: Quota):
    world.process()
    with pytest.raises(ValueError, match=r"is needed|in no time"):
        world.exchange(queues=["q"], quotas={"q": quota})
