"""A record for a person: one line, what belongs to it in order, nothing that commands the terminal."""

from __future__ import annotations

import logging
import sys

import pytest

from runner.monitor.console import Console, HumanFormatter


def record(text: str = "hello", level: int = logging.INFO, **extra: object) -> logging.LogRecord:
    return logging.getLogger("shop").makeRecord("sagarun.engine", level, __file__, 1, text, (), None, extra=extra)


def test_what_a_person_looks_for_comes_first_and_ids_for_programs_not_at_all():
    text = HumanFormatter(colours=False).format(record(zebra=1, worker="w", run_id="r1", span_id="x", process_id="p"))
    assert text.partition(" INFO    ")[2] == "engine: hello  run_id=r1  worker=w  zebra=1"


def test_control_characters_are_spelled_and_a_message_is_one_line():
    text = HumanFormatter(colours=False).format(record("a\nb\x1b[2J", note="\x07"))
    assert "\n" not in text
    assert "\x1b" not in text
    assert "note=\\u0007" in text


def test_a_traceback_stands_below():
    try:
        raise ValueError("no")
    except ValueError:
        broken = record("it broke")
        broken.exc_info = sys.exc_info()
    assert HumanFormatter(colours=False).format(broken).splitlines()[-1] == "ValueError: no"


@pytest.mark.parametrize(("level", "is_coloured"), [(logging.INFO, False), (logging.WARNING, True)])
def test_what_is_wrong_is_coloured_where_there_are_colours(level: int, is_coloured: bool):
    assert HumanFormatter(colours=True).format(record(level=level)).startswith("\x1b[") is is_coloured
    assert not HumanFormatter(colours=False).format(record(level=level)).startswith("\x1b[")


def test_a_record_that_cannot_be_formatted_does_no_harm(capsys: pytest.CaptureFixture[str]):
    bad = record("%d")
    bad.args = ("no number",)
    Console(colours=False).handle(bad)
    assert "Logging error" in capsys.readouterr().err
