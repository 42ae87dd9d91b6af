"""Ids of runs that are derived: always the same, and different for what is different."""

from __future__ import annotations

from runner.interpreter.run_id import ALPHABET, child_run_id, run_id_of


def test_an_id_is_sixteen_letters_that_cannot_be_mistaken_for_others() -> None:
    assert run_id_of(bytes(10)) == "0" * 16
    assert run_id_of(b"\xff" * 10) == "z" * 16
    assert len(set(ALPHABET)) == 32
    assert not set("ilou") & set(ALPHABET)


def test_the_first_ten_bytes_count() -> None:
    assert run_id_of(b"0123456789") == run_id_of(b"0123456789abc") != run_id_of(b"0123456788")


def test_a_child_has_the_same_id_for_ever() -> None:
    assert child_run_id("run1/pay", 1) == child_run_id("run1/pay", 1) == "7dqaav0pe9y2gt27"


def test_other_steps_items_and_attempts_have_other_children() -> None:
    names = [("run1/pay", 1), ("run2/pay", 1), ("run1/lines#1/pay", 1), ("run1/lines#2/pay", 1), ("run1/pay", 2)]
    assert len({child_run_id(*name) for name in names}) == len(names)
