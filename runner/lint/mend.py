"""Mends a text where a finding says what was meant, without a doubt: only the wrong words change, nothing around them.

Rule: a correction is believed once the text has been checked again. One that does not end its finding, or after which
the file cannot be read as well as before, is taken back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from runner.definition.problem import Problem

Check = Callable[[str], list[Problem]]
_QUOTES = "\"'"
_ROUNDS = 6  # behind one slip there may be another that it has hidden


@dataclass(frozen=True, slots=True)
class Correction:
    """One word in place of another, where the problem is."""

    problem: Problem
    start: int  # offset into the text that the problem is about
    old: str
    new: str

    def __str__(self) -> str:
        place = f"{self.problem.file}:{self.problem.line}:{self.problem.column}"
        return f"{place}: {self.problem.code}: {self.old} → {self.new}"


@dataclass(frozen=True, slots=True)
class Mended:
    """The text as it is to be, what was changed, and what is still wrong with it."""

    text: str
    corrections: tuple[Correction, ...]
    problems: list[Problem]


def mend(text: str, file: str, problems: Sequence[Problem], check: Check) -> Mended:
    """`problems` are those of the text now, `check` finds those of another one; those of other files are let be."""
    done: list[Correction] = []
    current = list(problems)
    refused: set[tuple[str, str, int]] = set()
    for _ in range(_ROUNDS):
        todo = [each for each in corrections_of(text, file, current) if _key(each) not in refused]
        if not todo:
            break
        text, current, made = _try(text, file, current, todo, check)
        done += made
        refused |= {_key(each) for each in todo if each not in made}
    return Mended(text, tuple(done), current)


def corrections_of(text: str, file: str, problems: Sequence[Problem]) -> list[Correction]:
    """In the order of the text; of several for one word, the first."""
    starts = [0]
    while (newline := text.find("\n", starts[-1])) >= 0:
        starts.append(newline + 1)
    found: dict[int, Correction] = {}
    for problem in problems:
        if problem.instead and problem.file == file:
            start = starts[problem.line - 1] + problem.column - 1
            found.setdefault(start, Correction(problem, start, text[start : start + problem.length], problem.instead))
    return [found[start] for start in sorted(found) if not _is_doubtful(text, found[start])]


def _is_doubtful(text: str, correction: Correction) -> bool:
    """Whether the word that it is held against may be the misspelt one: it is there once, the other one more often."""
    def often(word: str) -> int:
        return len(re.findall(rf"(?<!\w){re.escape(word.strip(_QUOTES))}(?!\w)", text))

    return often(correction.new) == 1 and often(correction.old) > 1


def applied(text: str, corrections: Sequence[Correction]) -> str:
    for each in reversed(corrections):
        text = text[: each.start] + each.new + text[each.start + len(each.old) :]
    return text


def _try(
    text: str, file: str, problems: list[Problem], todo: list[Correction], check: Check
) -> tuple[str, list[Problem], list[Correction]]:
    """All of them at once; or, where that is not well, each on its own."""
    after = applied(text, todo)
    found = check(after)
    if _is_better(file, problems, found, todo):
        return after, found, todo
    made: list[Correction] = []
    for each in todo if len(todo) > 1 else []:
        moved = replace(each, start=each.start + sum(len(m.new) - len(m.old) for m in made))  # they come in order
        after = applied(text, [moved])
        found = check(after)
        if _is_better(file, problems, found, [each]):
            text, problems = after, found
            made.append(each)
    return text, problems, made


def _is_better(file: str, before: list[Problem], after: list[Problem], made: list[Correction]) -> bool:
    """What was mended is not found any more, and the file can be read as before: so no key is there twice, say."""
    def unreadable(problems: list[Problem]) -> int:
        return sum(problem.file == file and problem.code.startswith("SR0") for problem in problems)

    def lines(problems: list[Problem]) -> set[tuple[int, str, str]]:
        return {(problem.line, problem.code, problem.message) for problem in problems if problem.file == file}

    gone = {(each.problem.line, each.problem.code, each.problem.message) for each in made}
    return unreadable(after) <= unreadable(before) and not gone & lines(after)


def _key(correction: Correction) -> tuple[str, str, int]:
    return correction.problem.code, correction.old, correction.problem.line
