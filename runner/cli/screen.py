"""What a command prints: data on stdout, notes and progress on stderr. Every character goes through here.

rich is imported only for a terminal, where a line that would fill half of it is cut (JSON is not). Piped, a line is
written as it is: never wrapped, cut or coloured. Control characters are spelled, whoever wrote them. A reader that went
away (`| head`) ends the printing, not the command: the run it follows still finishes and gives its exit code.
So does a full disk, of which stderr and the exit code tell.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

import msgspec

from runner.shown import spelled

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

Span = tuple[str, str]  # text, style: "green", "bold red", "dim" or ""
Line = Sequence[Span]


LONGEST = 8  # rows of a terminal that one line may take
_lost: set[str] = set()  # streams of this process of which something could not be written


def plain(line: Line | str) -> str:
    return line if isinstance(line, str) else "".join(text for text, _ in line)


def json_text(value: Any) -> str:
    """Compact JSON on one line; what JSON cannot say (it should not occur) as its text."""
    return msgspec.json.encode(value, enc_hook=str).decode()


@dataclass(slots=True)
class Screen:
    """The two streams of this command."""

    format: str = "text"
    no_color: bool = False
    quiet: bool = False
    verbose: bool = False
    _consoles: dict[str, Console] = field(default_factory=dict)
    _gone: set[str] = field(default_factory=set)

    @property
    def is_live(self) -> bool:
        """stdout is a terminal on which lines can be drawn again."""
        return _is_terminal(sys.stdout)

    def is_terminal(self, name: str) -> bool:
        """`name`: stdout, stderr."""
        return _is_terminal(_stream(name))

    @property
    def is_gone(self) -> bool:
        """Nobody reads stdout any more."""
        return "stdout" in self._gone

    def data(self, line: Line | str = "") -> None:
        """What the command was asked for."""
        self._write("stdout", line)

    def note(self, line: Line | str) -> None:
        """Progress and advice; `-q` leaves it out."""
        if not self.quiet:
            self._write("stderr", line)

    def error(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._write("stderr", styled(line))

    def json(self, value: Any) -> None:
        """One JSON value on one line of stdout."""
        self.data(json_text(value))

    def story(self, line: Line | str) -> None:
        """What happens to a run: data for a command that prints text, progress for one that prints JSON."""
        if self.format == "text":
            self.data(line)
        else:
            self.note(line)

    def text(self, line: Line, *, one_row: bool = False) -> Text:
        """For rich. `one_row`: cut to the width of the terminal."""
        from rich.text import Text

        spans = [(spelled(text), style) for text, style in line]
        return Text.assemble(*spans, no_wrap=one_row, overflow="ellipsis" if one_row else "fold")

    @property
    def console(self) -> Console:
        """Of stdout, for what has to be drawn live."""
        return self._console("stdout")

    def show(self, renderable: RenderableType) -> None:
        self.console.print(renderable)

    def _console(self, name: str) -> Console:
        if name not in self._consoles:
            from rich.console import Console

            self._consoles[name] = Console(
                file=_stream(name), no_color=self.no_color or None, highlight=False, soft_wrap=True, emoji=False
            )
        return self._consoles[name]

    def _write(self, name: str, line: Line | str) -> None:
        if name in self._gone:
            return
        try:
            if _is_terminal(_stream(name)) and not isinstance(line, str):
                console = self._console(name)
                console.print(self.text(_shortened(line, LONGEST * console.width)))
            else:
                stream = _stream(name)
                stream.write(spelled(plain(line)) + "\n")
                stream.flush()
        except BrokenPipeError:
            self._gone.add(name)
            _forget(name)
        except OSError as error:  # a full disk
            self._gone.add(name)
            _lost.add(name)
            _forget(name)
            if name != "stderr":
                self.error([f"error: {name} cannot be written: {error.strerror}"])


def _shortened(line: Line, length: int) -> Line:
    """A list of a thousand items would push everything else off the screen."""
    more = len(plain(line)) - length
    if more <= 0:
        return line
    kept: list[Span] = []
    for span, style in line:
        kept.append((span[: max(0, length)], style))
        length -= len(span)
    return [*kept, (f"… ({more:,} more characters: pipe it, or --format json)", "dim")]


_STYLES = {"error": "bold red", "hint": "cyan", "warning": "yellow", "info": "cyan"}
_FINDING = re.compile(r"(\S.*?:\d+:\d+: )((error|warning|info)\[SR\d+\]:)(.*)")
_CARET = re.compile(r"( +\| +)(\^+)(.*)")


def styled(line: str) -> Line:
    """An error, a hint, or a line of a finding, as a terminal shows it."""
    word, separator, rest = line.partition(":")
    if separator and word in ("error", "hint", "warning"):
        return [(f"{word}:", _STYLES[word]), (rest, "")]
    finding, caret = _FINDING.fullmatch(line), _CARET.fullmatch(line)
    if finding:
        return [(finding[1], "bold"), (finding[2], _STYLES[finding[3]]), (finding[4], "")]
    return [(caret[1], ""), (caret[2], "bold cyan"), (caret[3], "cyan")] if caret else [(line, "")]


def _stream(name: str) -> IO[str]:
    stream: IO[str] | None = getattr(sys, name)
    if stream is None:  # closed by the caller (`>&-`)
        stream = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
        setattr(sys, name, stream)
    return stream


def _is_terminal(stream: IO[str] | None) -> bool:
    return stream is not None and stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def _forget(name: str) -> None:
    """Point the file at nothing, or Python complains about the broken pipe when it flushes at its end."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, _stream(name).fileno())
    os.close(devnull)


def something_was_lost() -> bool:
    """Not all that was to be printed could be written, and nobody asked for less."""
    return bool(_lost)


def prepare_streams() -> None:
    """A terminal that cannot show ✓ gets a question mark, not an exception; and nothing takes a closed stream's place.

    Of `2>&-` the number would be given to the next file or pipe, in which a child's words would end.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest number that is free: this one
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
