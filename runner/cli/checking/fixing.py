"""`validate --fix`: slips of the pen in definitions and test files, mended where there is no doubt what was meant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from runner.cli.checking.rewriting import Original, diff_lines, read_original
from runner.cli.screen import Screen
from runner.cli.wording import plural
from runner.definition.problem import Problem
from runner.lint.mend import Mended, mend

Check = Callable[[Path, str], list[Problem]]


def mend_files(files: Sequence[Path], found: Sequence[Problem], check: Check) -> list[tuple[Original, Mended]]:
    """What would change, file by file. Nothing is written."""
    changed = []
    for file in files:
        problems = [problem for problem in found if problem.file == str(file)]
        if not any(problem.instead for problem in problems):
            continue
        original = read_original(file)
        mended = mend(original.text, str(file), problems, partial(check, file))
        if mended.corrections:
            changed.append((original, mended))
    return changed


def show(changed: Sequence[tuple[Original, Mended]], screen: Screen) -> None:
    for original, mended in changed:
        for line in diff_lines(original.text, mended.text, str(original.path)):
            screen.data(line)
    screen.note(_total(changed, "to mend"))


def write(changed: Sequence[tuple[Original, Mended]], screen: Screen) -> None:
    """Raises ConfigError for what cannot be written."""
    for original, mended in changed:
        original.write(mended.text)
        for each in mended.corrections:
            screen.note(str(each))
    screen.note(_total(changed, "mended"))


def _total(changed: Sequence[tuple[Original, Mended]], word: str) -> str:
    count = sum(len(mended.corrections) for _, mended in changed)
    files = f" in {plural(len(changed), 'file')}" if changed else ""
    return f"{plural(count, 'slip')} {word}{files}" if count else f"nothing {word}"
