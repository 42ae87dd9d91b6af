"""Loops with many items, told by counts."""

from __future__ import annotations

from runner.cli.story.crowd import MANY, Crowd


def crowd(items: int) -> Crowd:
    made = Crowd()
    made.tally("lines").total = items
    return made


def test_items_of_a_small_loop_are_told_one_by_one():
    assert crowd(MANY).loop_of("lines#3/ship") is None
    assert crowd(MANY).part_ended("lines#3", failed=False) is None


def test_items_of_a_large_loop_are_counted():
    large = crowd(1_000)
    assert large.loop_of("lines#3/ship") == "lines"
    told = [number for number in range(1_000) if large.part_ended(f"lines#{number}", failed=number == 5)]
    assert told == [99, 199, 299, 399, 499, 599, 699, 799, 899]  # the last tenth is told by the loop's own end
    assert (large.tally("lines").done, large.tally("lines").failed) == (1_000, 1)


def test_rounds_are_told_one_by_one_until_there_are_many():
    made = Crowd()
    assert made.loop_of("again#9/poll") is None
    assert made.loop_of("again#10/poll") == "again"
    told = [number for number in range(35) if made.part_ended(f"again#{number}", failed=False)]
    assert told == [19, 29]
    assert made.tally("again").done == 35


def test_what_is_in_a_large_loop_is_counted_with_it_and_not_by_itself():
    large = crowd(1_000)
    assert large.loop_of("lines#3/parts#2/ship") == "lines"
    assert large.part_ended("lines#3/parts#2", failed=False) is None


def test_only_the_first_things_that_go_wrong_are_told():
    large = crowd(1_000)
    assert [large.is_told(f"lines#{number}/ship") for number in range(MANY + 2)] == [True] * MANY + [False] * 2
    assert all(large.is_told("charge") for _ in range(MANY + 2))


def test_steps_that_are_undone_are_counted():
    large = crowd(1_000)
    told = [number for number in range(300) if large.step_undone(f"lines#{number}/hold")]
    assert told == [99, 199, 299]
    assert large.step_undone("charge") is None
