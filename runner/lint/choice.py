"""Which findings count: those that were selected, and not those that the file or the project says to ignore.

Rule: only warnings can be ignored. An error keeps the definition from being run, whatever a comment says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from runner.definition.problem import Problem

_COMMENT = re.compile(r"(?:^|\s)#\s*sagarun:\s*ignore\b(?:\[(?P<codes>[^\]]*)\])?(?P<reason>.*)$")
_CODE = re.compile(r"SR\d*")
UNUSED = "SR600"
UNREADABLE = "SR601"
CODES = {
    UNUSED: "A comment ignores what is not there",
    UNREADABLE: "A comment that ignores findings does not say which, or why",
}


@dataclass(frozen=True, slots=True)
class Choice:
    """Codes or their beginnings: SR3 means all that begin so. Nothing selected: everything is."""

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()

    def takes(self, problem: Problem) -> bool:
        if self.select and not problem.code.startswith(self.select):
            return False
        return problem.severity == "error" or not (self.ignore and problem.code.startswith(self.ignore))


@dataclass(frozen=True, slots=True)
class _Comment:
    line: int  # of what it is about: its own, or the next that is no comment
    at: tuple[int, int]  # where it stands
    codes: tuple[str, ...]


def without_ignored(problems: Sequence[Problem], file: str, text: str) -> list[Problem]:
    """The problems of one file without those that a comment in it ignores; and what is wrong with such comments."""
    kept: list[Problem] = [problem for problem in problems if problem.file != file]
    own = [problem for problem in problems if problem.file == file]
    used: set[tuple[int, int]] = set()
    comments, wrong = [], []
    for found in _comments(file, text):
        if isinstance(found, Problem):
            wrong.append(found)
        else:
            comments.append(found)
    for problem in own:
        about = [c for c in comments if c.line == problem.line and problem.code in c.codes]
        used |= {comment.at for comment in about}
        if problem.severity == "error" and about:
            kept.append(replace(problem, hint=" · ".join(filter(None, [problem.hint, "an error cannot be ignored"]))))
        elif not about:
            kept.append(problem)
    left = [problem for problem in kept if problem.file == file]
    for comment in comments:
        if comment.at not in used:
            line, column = comment.at
            message = f"nothing to ignore here: no {' or '.join(comment.codes)} in line {comment.line}"
            near = next((p.line for p in left if p.code in comment.codes and p.line > comment.line), 0)
            hint = f"put it above line {near}, or into it" if near else "take the comment out"
            wrong.append(Problem(file, line, column, UNUSED, message, "warning", hint=hint))
    return sorted({*kept, *wrong})


def _comments(file: str, text: str) -> Iterator[_Comment | Problem]:
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        match = _COMMENT.search(line) if "sagarun:" in line else None
        if match is None:
            continue
        column = line.index("#", match.start()) + 1
        codes = tuple(code.strip() for code in (match["codes"] or "").split(",") if code.strip())
        if not codes or not all(_CODE.fullmatch(code) for code in codes) or not match["reason"].strip():
            message = "this comment ignores nothing: it has to say which codes, and why"
            hint = "# sagarun: ignore[SR301] the reason"
            yield Problem(file, number, column, UNREADABLE, message, "warning", hint=hint)
            continue
        yield _Comment(_subject(lines, number), (number, column), codes)


def _subject(lines: list[str], number: int) -> int:
    """A comment on a line of its own is about the next line that is none."""
    while number < len(lines) and (not lines[number - 1].strip() or lines[number - 1].lstrip().startswith("#")):
        number += 1
    return number
