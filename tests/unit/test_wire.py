"""What is kept of a log: its end, within bounds, in whole lines."""

from __future__ import annotations

from runner.wire import LOG_BYTES, LOG_LINES, last_lines


def test_a_short_log_is_kept_as_it_is():
    assert last_lines("a\nb") == "a\nb"
    assert last_lines("") == ""


def test_of_many_lines_the_last_ones_are_kept():
    kept = last_lines("\n".join(f"{number}" for number in range(200))).split("\n")
    assert (len(kept), kept[0], kept[-1]) == (LOG_LINES, "150", "199")


def test_of_long_lines_as_many_whole_ones_as_there_is_room_for():
    kept = last_lines("\n".join("é" * 1_000 for _ in range(20)))
    assert kept == "\n".join(["é" * 1_000] * 4)
    assert len(kept.encode()) <= LOG_BYTES


def test_of_one_line_that_is_too_long_the_end_is_kept():
    kept = last_lines("x" * LOG_BYTES + "end")
    assert len(kept) == LOG_BYTES
    assert kept.endswith("xend")


def test_what_no_encoding_has_is_no_reason_to_fail():
    assert last_lines("\ud800" * LOG_BYTES)
