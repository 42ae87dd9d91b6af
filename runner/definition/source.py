"""YAML 1.2 text -> plain values, with the place of every key and value. Nothing is built before the limits are checked.

The document is built from libyaml's events, never composed: CSafeLoader recurses in C and ends the
process with a segmentation fault on deep nesting, while events live on the heap. An alias costs
what it expands to. Tags, merge keys and repeated keys are refused: editors and other parsers would
disagree about them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from runner.definition.events import Span, build
from runner.definition.finding import Finding, clean, last, parent
from runner.definition.flaw import Flaw
from runner.definition.problem import Problem
from runner.errors import DefinitionError

MAX_FILE_BYTES = 256 * 1024


@dataclass(frozen=True)
class Source:
    """One file: its text, what it says, and where. Spans are offsets into the text; lines are counted when asked."""

    file: str  # as problems name it
    text: str
    value: Any = None
    keys: Mapping[str, Span] = field(default_factory=dict)  # by JSON pointer of the value
    values: Mapping[str, Span] = field(default_factory=dict)
    flaws: tuple[Problem, ...] = ()  # of its YAML; only `scan` gives a source that has any
    unread: Set[str] = frozenset()  # pointers of what may not be what was meant, because of them

    @cached_property
    def _line_starts(self) -> list[int]:
        starts = [0]
        while (newline := self.text.find("\n", starts[-1])) >= 0:
            starts.append(newline + 1)
        return starts

    def at(self, offset: int) -> tuple[int, int]:
        """Line and column, 1-based. A line ends where an editor ends it, not at U+2028 and the like."""
        line = bisect_right(self._line_starts, offset)
        return line, offset - self._line_starts[line - 1] + 1

    def line_of(self, pointer: str) -> int:
        return self.at(self.values.get(pointer, Span(0, 0)).start)[0]

    def raw(self, pointer: str) -> str:
        """The text of a value as it was written, quotes included."""
        span = self.values.get(pointer)
        return self.text[span.start : span.end] if span else ""

    def problem(self, finding: Finding) -> Problem:
        """Places a finding: in its node, else in the nearest one around it that the file has."""
        start, end = self.extent(finding)
        return self._problem(finding, start, end, self._correction(finding, start, end) if finding.is_slip else "")

    def flawed(self, flaw: Flaw) -> Problem:
        return self._problem(Finding(flaw.code, "", flaw.message, flaw.hint), flaw.start, flaw.end)

    def _correction(self, finding: Finding, start: int, end: int) -> str:
        """What to write in place of a text, in the same quotes; nothing where the text is not just the wrong word."""
        wrong = last(finding.pointer) if finding.on_key else self._string_at(finding.pointer)
        written = self.text[start:end]
        quote = written[:1] if written[:1] in ("'", '"') else ""
        if finding.column:
            wrong = wrong[finding.column - 1 :][: finding.length].strip(quote)
        return f"{quote}{finding.instead}{quote}" if written == f"{quote}{wrong}{quote}" else ""

    def _problem(self, finding: Finding, start: int, end: int, instead: str = "") -> Problem:
        line, column = self.at(start)
        line_end = self.text.find("\n", start)
        if line_end >= 0:
            end = min(end, line_end)
        return Problem(
            file=self.file,
            line=line,
            column=column,
            code=finding.code,
            message=clean(finding.message),
            severity=finding.severity,
            length=max(len(self.text[start:end].rstrip()), 1),
            hint=clean(finding.hint),
            instead=instead,
        )

    def extent(self, finding: Finding) -> tuple[int, int]:
        """The offsets that a finding is about: in its node, else in the nearest one around it that the file has."""
        pointer, on_key = finding.pointer, finding.on_key
        while pointer and pointer not in self.values:
            pointer, on_key = parent(pointer), True  # a part that was filled in: the key it belongs to
        if on_key and pointer in self.keys:
            return self.keys[pointer].start, self.keys[pointer].end
        span = self.values.get(pointer, Span(0, 0))
        if finding.column and pointer == finding.pointer:
            start = self._inside(pointer, span, finding.column, max(finding.length, 1))
            return start, min(start + max(finding.length, 1), span.end)
        if span.is_collection and pointer in self.keys:
            return self.keys[pointer].start, self.keys[pointer].end
        return span.start, span.end if pointer else span.start + 1

    def _inside(self, pointer: str, span: Span, column: int, length: int) -> int:
        """The offset of a column of a string's value: exact where the text is the value, else by counting.

        Folding and escapes move columns, but not words: the n-th occurrence of the fragment in the
        value is the n-th in the text.
        """
        value, text = self._string_at(pointer), self.text
        for quote in (0, 1):
            if text.startswith(value, span.start + quote):
                return span.start + quote + column - 1
        fragment = value[column - 1 : column - 1 + length]
        if not fragment.strip():
            return span.start
        begin = text.find("\n", span.start, span.end) if text[span.start] in "|>" else span.start
        for _ in range(value.count(fragment, 0, column - 1) + 1):
            begin = text.find(fragment, begin, span.end) + len(fragment)
            if begin < len(fragment):  # not found
                return span.start
        return begin - len(fragment)

    def _string_at(self, pointer: str) -> str:
        node = self.value
        for key in pointer.split("/")[1:]:
            key = key.replace("~1", "/").replace("~0", "~")
            if not isinstance(node, list) and not (isinstance(node, dict) and key in node):
                return ""  # a part that was filled in
            node = node[int(key)] if isinstance(node, list) else node[key]
        return node if isinstance(node, str) else ""


def read_text(text: str, file: str) -> Source:
    """Parses one document. Raises DefinitionError with every flaw found, the first syntax error ending it."""
    source = scan(text, file)
    if source.flaws:
        raise DefinitionError(source.flaws)
    return source


def scan(text: str, file: str) -> Source:
    """The same, with the flaws and what can be read in spite of them. Raises DefinitionError where nothing can be."""
    text = text.removeprefix("\ufeff")
    bare = Source(file, text)
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise _refusal(bare, "SR001", f"not Unicode text: character {error.start + 1} is half of a pair") from None
    if size > MAX_FILE_BYTES:
        raise _refusal(bare, "SR002", f"the file has {size:,} bytes; at most {MAX_FILE_BYTES:,} are read")
    built = build(text)
    flaws = tuple(sorted(bare.flawed(flaw) for flaw in built.flaws))
    return Source(file, text, built.value, built.keys, built.values, flaws, built.unread)


def read_file(path: Path, file: str | None = None) -> Source:
    """`read_text` for a file, of which no more than the limit is read."""
    name = file or str(path)
    return read_text(text_of(path, name), name)


def text_of(path: Path, name: str) -> str:
    """What is in a file. Raises DefinitionError if it cannot be read as a text, or is larger than the limit."""
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 4)  # 3 bytes of a byte order mark do not count
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise DefinitionError([Problem(name, 1, 1, "SR001", f"cannot be read: {reason}")]) from None
    data = data.removeprefix(b"\xef\xbb\xbf")
    if len(data) > MAX_FILE_BYTES:
        raise _refusal(Source(name, ""), "SR002", f"the file is larger than the {MAX_FILE_BYTES:,} bytes that are read")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line, begin = data.count(b"\n", 0, error.start) + 1, data.rfind(b"\n", 0, error.start) + 1
        column = len(data[begin : error.start].decode()) + 1
        wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))
        message = "this is UTF-16" if wide else f"not UTF-8 text: byte {error.start + 1} cannot be read"
        problem = Problem(name, line, column, "SR001", message, hint="save the file as UTF-8")
        raise DefinitionError([problem]) from None


def _refusal(source: Source, code: str, message: str) -> DefinitionError:
    return DefinitionError([source.problem(Finding(code, "", message))])
