"""What goes wrong with an expression, with its place. Nothing else leaves this package as an exception.

A fault never quotes a value: values may be secrets, and faults end in a run's history. It names kinds, paths and keys
(a computed key too: a missing one could not be found otherwise).
"""

from __future__ import annotations

from typing import NoReturn, Self

from runner.errors import ExpressionError

_SHOWN = 80  # characters of the source that a message quotes


class Misuse(Exception):
    """An operation was given what it cannot take. Whoever knows the column turns it into a fault."""


class ExpressionFault(ExpressionError):
    """An expression cannot be compiled or evaluated.

    `column` is 1-based in `source`, `length` is what to underline. In a template, `pointer` is the JSON pointer of the
    string and `offset` is how many of its characters come before `source`: the fault is at character `offset + column`.
    """

    def __init__(
        self,
        message: str,
        *,
        source: str = "",
        column: int = 1,
        length: int = 1,
        pointer: str = "",
        offset: int = 0,
    ) -> None:
        self.message = message
        self.source = source
        self.column = column
        self.length = length
        self.pointer = pointer
        self.offset = offset
        place = f"{pointer}: " if pointer else ""
        shown = source if len(source) <= _SHOWN else source[: _SHOWN - 1] + "…"
        super().__init__(f"{place}{message} (column {column} of `{shown}`)" if source else f"{place}{message}")

    def within(self, source: str) -> Self:
        """The same fault, now that it is known which source has it."""
        return type(self)(self.message, source=source, column=self.column, length=self.length)

    def at(self, pointer: str, offset: int) -> Self:
        """The same fault, now that it is known where in a template its source stands."""
        return type(self)(
            self.message,
            source=self.source,
            column=self.column,
            length=self.length,
            pointer=pointer,
            offset=offset + self.offset,
        )


def refuse(message: str, column: int, length: int = 1) -> NoReturn:
    """A fault of which the caller will say in which source it is."""
    raise ExpressionFault(message, column=column, length=length)
