"""Unquoted YAML scalars by the YAML 1.2 core schema."""

from __future__ import annotations

from typing import Any

import pytest

from runner.definition.scalar import resolve


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("12", 12),
        ("-3", -3),
        ("+4", 4),
        ("0o17", 15),
        ("0x1F", 31),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("1e3", 1000.0),
        ("-2.5E-1", -0.25),
        ("9223372036854775807", 2**63 - 1),
    ],
)
def test_core_schema_values(text: str, value: Any) -> None:
    assert resolve(text) == value
    assert type(resolve(text)) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "on",
        "off",
        "yes",
        "no",
        "y",
        "12:30",
        "2024-05-01",
        "1_000",
        "0b11",
        "1.0.0",
        "0o9",
        "1e",
        "=",
        "tRUE",
        "-",
        ".",
    ],
)
def test_what_yaml_1_1_would_misread_stays_text(text: str) -> None:
    assert resolve(text) == text


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        ("010", 'write 10, 0o10 for the octal number, or "010" for the text'),
        ("-012", 'write -12, or "-012" for the text'),
        ("089", 'write 89, or "089" for the text'),
        ("000", 'write 0, or "000" for the text'),
        ("0" * 200 + "1" * 30, "write it without them, or in quotes"),
    ],
)
def test_a_number_that_begins_with_zero_is_octal_to_some_and_refused(text: str, instead: str) -> None:
    with pytest.raises(ValueError, match="begins with 0") as caught:
        resolve(text)
    assert str(caught.value).endswith(instead)


@pytest.mark.parametrize("text", ["True", "TRUE", "False", "FALSE", "Null", "NULL", ".inf", "-.Inf", ".NaN"])
def test_what_two_readers_would_read_differently_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write"):
        resolve(text)


@pytest.mark.parametrize(
    "text", ["9223372036854775808", "-9223372036854775808", "1e999", "9" * 10_000, "0x" + "f" * 40]
)
def test_a_number_that_json_readers_would_change_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="too large"):
        resolve(text)
