"""What a verification answers."""

from __future__ import annotations

import pytest

from runner.worker.verdict import NotLanded, Pending


def test_pending_says_when_to_ask_again():
    assert Pending(after="5s").after_ms == 5_000


def test_pending_may_leave_it_to_the_policy():
    assert Pending().after_ms == 0


def test_a_duration_that_is_none_is_refused_where_it_is_written():
    with pytest.raises(ValueError, match=r"Pending\(after=…\) 'soon': a duration"):
        Pending(after="soon")


def test_not_landed_is_not_fenced_unless_it_says_so():
    assert not NotLanded().fenced
