"""JSON at the border, and how much of it."""

from __future__ import annotations

import pytest

from runner.worker.payload import MAX_DETAILS_BYTES, clip, clip_details, encode_json


def test_text_that_fits_is_left_as_it_is():
    assert clip("ärger", 6) == "ärger"


@pytest.mark.parametrize("limit", range(3, 12))
def test_text_is_cut_at_bytes_and_never_inside_a_character(limit: int):
    cut = clip("ääääää", limit)
    assert len(cut.encode()) <= limit
    assert cut.endswith("…")
    assert set(cut[:-1]) <= {"ä"}


def test_the_end_is_kept_when_it_matters():
    assert clip("0123456789", 8, keep_end=True) == "…56789"


def test_a_lone_surrogate_does_not_break_a_message():
    assert clip("a\ud800b", 100) == "a?b"


def test_details_that_are_json_stay():
    assert clip_details({"sku": ["a", 1]}) == {"sku": ["a", 1]}


@pytest.mark.parametrize("details", [object(), {1, 2}, float("nan"), "\ud800"])
def test_details_that_are_not_json_are_left_out_and_say_so(details: object):
    assert "details are not JSON" in clip_details(details)["omitted"]


def test_details_that_are_too_large_are_left_out_and_say_so():
    assert "at most 65,536" in clip_details("x" * MAX_DETAILS_BYTES)["omitted"]


def test_details_whose_serializer_fails_are_left_out():
    class Broken:
        def model_dump(self, **_: object) -> object:
            raise RuntimeError("broken serializer")

    assert "broken serializer" in clip_details(Broken())["omitted"]


def test_what_contains_itself_is_refused():
    circular: dict[str, object] = {}
    circular["self"] = circular
    with pytest.raises(ValueError, match=r"."):
        encode_json(circular)
