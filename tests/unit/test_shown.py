"""What may be shown: no secret in any form that is common, no character that commands a terminal."""

from __future__ import annotations

import json
import unicodedata

import pytest

from runner.shown import Redactor, spelled

CANARY = "kanarienvogel-4711/+?"


@pytest.mark.parametrize(
    "text",
    [
        f"Bearer {CANARY}", "kanarienvogel-4711%2F%2B%3F", "a2FuYXJpZW52b2dlbC00NzExLys_",
        "a2FuYXJpZW52b2dlbC00NzExLys/", f"{CANARY}{CANARY}", f'{{"echo": "{CANARY}"}}',
    ],
)  # fmt: skip
def test_a_secret_is_taken_out_in_the_forms_in_which_it_is_repeated(text: str):
    hidden = Redactor([CANARY]).text(text)
    assert "***" in hidden
    assert "kanarienvogel" not in hidden
    assert "a2FuYXJp" not in hidden


def test_a_secret_is_taken_out_of_json_with_its_names_and_numbers():
    value = {CANARY: [{"x": f"<{CANARY}>"}], "pin": 12345, "n": 7, "none": None, "yes": True}
    found = Redactor([CANARY, "12345"]).value(value)
    assert found == {"***": [{"x": "<***>"}], "pin": "***", "n": 7, "none": None, "yes": True}


def test_a_secret_that_begins_like_another_is_taken_out_whole():
    assert Redactor(["token", "token-2"]).text("token-2 token") == "*** ***"


def test_without_secrets_nothing_is_changed():
    value = {"a": [1, "b"]}
    assert Redactor([]).value(value) is value
    assert Redactor([]).text("***") == "***"


# -- control characters ---------------------------------------------------------------------------------
def test_every_control_character_is_spelled_and_every_other_one_is_left_alone():
    """But tab and line feed, which the lines of a traceback have; who prints one line takes them out itself."""
    for code in range(0x3000):
        char = chr(code)
        category = unicodedata.category(char)
        is_command = (category == "Cc" and char not in "\t\n") or category in ("Zl", "Zp")
        is_command = is_command or unicodedata.bidirectional(char) in {
            "LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
        if is_command or char in "\u200e\u200f\u061c":
            assert spelled(char) == f"\\u{code:04x}"
        else:
            assert spelled(char) == char


def test_a_sequence_that_colours_or_clears_a_terminal_does_nothing():
    assert spelled("\x1b[2J\x1b]0;title\x07 \x9b31m\r") == r"\u001b[2J\u001b]0;title\u0007 \u009b31m\u000d"


def test_json_stays_the_same_value():
    value = {"\x9b31m": ["\u202e", "\x7f", "ü", "😀", "\u2028"]}
    text = spelled(json.dumps(value, ensure_ascii=False))
    assert text.isprintable()
    assert json.loads(text) == value
