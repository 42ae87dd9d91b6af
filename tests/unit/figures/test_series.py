"""Names of figures are written and read by one module, and never hold what users wrote for people."""

from __future__ import annotations

import pytest

from runner.figures import series
from runner.figures.series import Series, error_type, in_bucket, name, read
from runner.wire import ErrorRecord


def test_a_name_is_read_as_it_was_written():
    text = in_bucket(name(series.QUEUED, "mail", "mail.send"), 7)
    assert list(read({text: 3})) == [(Series("queued", ("mail", "mail.send", "7")), 3)]


def test_a_label_cannot_pass_for_two():
    assert list(read({name(series.FINISHED, "a|b", "1", "completed"): 1})) == [
        (Series("finished", ("a/b", "1", "completed")), 1)
    ]
    assert len(name(series.STUCK, "x" * 1_000)) < 120


def test_names_of_other_forms_are_passed_over():
    assert list(read({"queued|mail": 1, "unheard|of": 1, "other": 2})) == [(Series("other", ()), 2)]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (None, "none"),
        (ErrorRecord("declined", "business", "card 4111 1111 refused"), "declined"),
        (ErrorRecord("exception", message="ValueError: no order A-17"), "ValueError"),
        (ErrorRecord("exception", message="shop.errors.Broken: x"), "shop.errors.Broken"),
        (ErrorRecord("exception", message="something else"), "exception"),
        (ErrorRecord("no order A-17"), "other"),
    ],
)
def test_an_error_is_counted_by_its_type_and_never_by_its_text(error: ErrorRecord | None, expected: str):
    assert error_type(error) == expected
