"""Where things are in a file: every key, every value, and a column inside a string."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from runner.definition.finding import Finding
from runner.definition.problem import Problem
from runner.definition.source import MAX_FILE_BYTES, Source, read_file, read_text
from runner.errors import DefinitionError


def problems_of(text: str) -> tuple[Problem, ...]:
    with pytest.raises(DefinitionError) as refused:
        read_text(text, "a.yaml")
    return refused.value.problems  # type: ignore[return-value]


def underlined(source: Source, finding: Finding) -> str:
    """What the caret of a finding would be under."""
    problem = source.problem(finding)
    line = source.text.split("\n")[problem.line - 1]
    return line[problem.column - 1 : problem.column - 1 + problem.length]


def test_a_file_of_256_kib_is_read_and_one_byte_more_is_not(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a: " + "x" * (MAX_FILE_BYTES - 3))
    assert len(read_file(path).value["a"]) == MAX_FILE_BYTES - 3
    path.write_text("a: " + "x" * (MAX_FILE_BYTES - 2))
    with pytest.raises(DefinitionError, match="SR002"):
        read_file(path)


def test_the_limit_is_in_bytes_for_a_text_too() -> None:
    assert read_text("a: " + "é" * ((MAX_FILE_BYTES - 4) // 2), "a.yaml").value
    assert problems_of("a: " + "é" * (MAX_FILE_BYTES // 2))[0].code == "SR002"


def test_an_endless_file_is_not_read_to_its_end() -> None:
    started = time.thread_time()
    with pytest.raises(DefinitionError, match="SR002"):
        read_file(Path("/dev/zero"))
    assert time.thread_time() - started < 1


@pytest.mark.parametrize("name", ["missing.yaml", ".", "a\0b.yaml", "x" * 300])
def test_a_file_that_cannot_be_read_is_a_problem(tmp_path: Path, name: str) -> None:
    with pytest.raises(DefinitionError, match=r"error\[SR001\]: cannot be read"):
        read_file(tmp_path / name)


def test_text_that_is_not_utf_8_is_a_problem_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes("a: 1\nb: ü".encode() + b"\xff\n")
    with pytest.raises(DefinitionError, match=r":2:5: error\[SR001\]: not UTF-8"):
        read_file(path)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_text_that_is_utf_16_is_said_to_be(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes("\ufeffa: 1\n".encode(encoding))
    with pytest.raises(DefinitionError, match=r":1:1: error\[SR001\]: this is UTF-16.*save the file as UTF-8"):
        read_file(path)


def test_half_of_a_surrogate_pair_is_a_problem() -> None:
    assert problems_of("a: \ud800")[0].code == "SR001"


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")
    source = read_file(path)
    assert source.value == {"a": 1}
    assert source.problem(Finding("X", "/a", "", on_key=True)).column == 1


def test_every_key_and_value_has_its_place() -> None:
    source = read_text("é😀: [1, {b: two}]\r\nc:\r\n  'd': \"x\"\r\n", "a.yaml")
    assert underlined(source, Finding("X", "/é😀", "", on_key=True)) == "é😀"
    assert underlined(source, Finding("X", "/é😀/1/b", "")) == "two"
    assert underlined(source, Finding("X", "/é😀/1/b", "", on_key=True)) == "b"
    assert underlined(source, Finding("X", "/c/d", "")) == '"x"'
    assert (source.problem(Finding("X", "/c/d", "")).line, source.problem(Finding("X", "/c/d", "")).column) == (3, 8)


def test_a_key_with_a_slash_or_a_tilde_is_found_by_its_pointer() -> None:
    source = read_text("a/b: {c~d: 1}", "a.yaml")
    assert underlined(source, Finding("X", "/a~1b/c~0d", "")) == "1"


def test_a_collection_is_underlined_by_its_key_or_its_first_line() -> None:
    source = read_text("steps:\n  - id: a\n    set: {}\n", "a.yaml")
    assert underlined(source, Finding("X", "/steps", "")) == "steps"
    assert underlined(source, Finding("X", "/steps/0", "")) == "id: a"


def test_a_part_that_the_file_does_not_have_is_placed_at_what_has_it() -> None:
    source = read_text("steps:\n  - id: a\n    retry: quick\n", "a.yaml")
    assert underlined(source, Finding("X", "/steps/0/retry/max", "")) == "retry"
    assert source.problem(Finding("X", "/nothing/here", "")).line == 1


def test_a_line_separator_of_unicode_is_no_line() -> None:
    source = read_text('a: "x\u2028y"\nb: 1\n', "a.yaml")
    assert source.problem(Finding("X", "/b", "")).line == 2


def test_what_an_alias_stands_for_is_where_its_anchor_is() -> None:
    source = read_text("a: &a {b: [one]}\nc: *a\n", "a.yaml")
    problem = source.problem(Finding("X", "/c/b/0", ""))
    assert (problem.line, underlined(source, Finding("X", "/c/b/0", ""))) == (1, "one")


@pytest.mark.parametrize(
    "written",
    [
        "{{ steps.chrage.output }}x",
        '"{{ steps.chrage.output }}"',
        "'{{ steps.chrage.output }}'",
        "'it''s {{ steps.chrage.output }}'",
        '"tab\\t\\"quoted\\" \\u00e9 {{ steps.chrage.output }}"',
        "|\n  first\n  {{ steps.chrage.output }}\n",
        ">-\n  folded\n  text {{ steps.chrage.output }}\n  more\n",
        "two\n  lines {{ steps.chrage.output }}",
        '"two\n\n  lines {{ steps.chrage.output }}"',
        '"chrage {{ steps.chrage.output }}"',
        "| # chrage\n  {{ steps.chrage.output }}\n",
    ],
)
def test_a_column_inside_a_string_is_the_column_in_the_file(written: str) -> None:
    text = f"x: {written}".replace("x: {{", "x: t {{")
    source = read_text(text, "a.yaml")
    value = source.value["x"]
    column = value.rindex("chrage") + 1
    problem = source.problem(Finding("X", "/x", "", column=column, length=6))
    assert underlined(source, Finding("X", "/x", "", column=column, length=6)) == "chrage"
    line = text.split("\n")[problem.line - 1]
    assert line[: problem.column - 1].endswith("steps.")


def test_a_column_that_cannot_be_found_is_that_of_the_string() -> None:
    source = read_text('x: "a\\x20b"', "a.yaml")
    assert source.problem(Finding("X", "/x", "", column=2, length=1)).column == 4


def test_control_characters_do_not_reach_a_message() -> None:
    problem = read_text("a: 1", "a.yaml").problem(Finding("X", "/a", "red \x1b[31m\u202e", "\x07"))
    assert problem.message == "red ?[31m?"
    assert problem.hint == "?"
