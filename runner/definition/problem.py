"""One finding about a file, as data: what, where, and what would mend it. Reporters render it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """Line and column are 1-based; `length` is how many columns the caret underlines."""

    file: str
    line: int
    column: int
    code: str  # "SR204"; stable
    message: str
    severity: Severity = "error"
    length: int = 1
    hint: str = ""
    instead: str = ""  # what would mend it in place of what is underlined, where there is no doubt

    def __str__(self) -> str:
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.file}:{self.line}:{self.column}: {self.severity}[{self.code}]: {self.message}{hint}"
