"""`sagarun test`: the cases of test files, run in memory on a virtual clock, and told as a test runner tells them.

Nothing of the project's own state is touched by sagarun; workers are told a folder for theirs (`SAGARUN_STATE`).
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli.failure import Exit
from runner.cli.options import keep, plain_options
from runner.cli.parameters import workers_option

if TYPE_CHECKING:
    from runner.cli.settings import Settings
    from runner.definition.problem import Problem
    from runner.testing import TestRun
    from runner.worker.registry import Registry

STATE = "SAGARUN_STATE"
_FORMATS = ("text", "json", "junit")
_SUFFIXES = (".test.yaml", ".test.yml")


@dataclass(frozen=True, slots=True)
class CaseResult:
    """How a case ended. `misses`: what is not as it expects; `story`: what happened instead."""

    file: str
    name: str
    seconds: float
    misses: tuple[str, ...] = ()
    story: tuple[str, ...] = ()
    run_ms: int | None = None  # of virtual time

    @property
    def passed(self) -> bool:
        return not self.misses


@dataclass(slots=True)
class Report:
    """What a run of the tests found. A file with problems is one failure, and none of its cases is run."""

    results: list[CaseResult] = field(default_factory=list)
    problems: dict[str, list[Problem]] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        return sum(not result.passed for result in self.results) + len(self.problems)


@click.command(short_help="Run the cases of test files, in memory.")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "-k", "wanted", default="", metavar="EXPR", help="Only cases whose name has this text; and, or, not, parentheses."
)
@click.option(
    "--format", type=click.Choice(_FORMATS), callback=keep, expose_value=False, help="How results are printed (text)."
)
@workers_option
@plain_options
def command(paths: tuple[Path, ...], wanted: str, workers: tuple[str, ...]) -> int:
    """Run the cases of test files: PATHs are test files, definitions or folders (default: definitions/).

    Real workers are asked, by the real engine, in this process; time is virtual, so that waits and retries take none.
    Exit code 1 if a case does not end as it expects.
    """
    from time import perf_counter

    from runner.cli.checking import test_report as form
    from runner.cli.checking.test_choice import matcher
    from runner.cli.hosting.workshop import grant_here, import_workers
    from runner.cli.settings import require_format, settings
    from runner.errors import UsageError

    chosen = settings(paths[0] if paths else None)
    require_format(chosen.format, _FORMATS)
    files = list(test_files_of(paths or (chosen.project.definitions,)))
    takes = matcher(wanted)
    registry = import_workers(chosen.project, workers)
    grant_here(chosen.project)
    report, began = Report(), perf_counter()
    with _state():
        for file in files:
            _run_file(file, takes, registry, chosen, report)
    if not report.results and not report.problems:
        raise UsageError(f"no case has a name with {wanted}")
    form.end(report, perf_counter() - began, chosen)
    return Exit.NEGATIVE if report.failed else Exit.DONE


def test_files_of(paths: Sequence[Path]) -> Iterator[Path]:
    """Raises UsageError where there is none."""
    from runner.cli.commands.validate import files_of, is_test_file
    from runner.errors import UsageError

    found: dict[Path, None] = {}
    for path in paths:
        if not path.is_dir() and path.exists() and not is_test_file(path):
            beside = [path.with_suffix(suffix) for suffix in _SUFFIXES]
            given = [file for file in beside if file.is_file()]
            if not given:
                raise UsageError(f"{path} has no test file: it would be {beside[0]}")
        else:
            given = [file for file in files_of([path]) if is_test_file(file)]
            if not given:
                raise UsageError(f"there is no test file (*.test.yaml) in {path}")
        found.update(dict.fromkeys(given))
    yield from found


def _run_file(file: Path, takes: Any, registry: Registry, chosen: Settings, report: Report) -> None:
    from runner.cli.checking import test_report as form
    from runner.testing import case_names

    problems = _problems(file, registry, chosen)
    if problems:
        report.problems[str(file)] = problems
        form.file_problems(file, problems, chosen)
        return
    names = [name for name in case_names(file) if takes(name)]
    if names:
        form.file_head(file, chosen)
    for name in names:
        result = _run_case(file, name, registry, chosen.project.root)
        report.results.append(result)
        form.case(result, chosen)


def _problems(file: Path, registry: Registry, chosen: Settings) -> list[Problem]:
    """Errors of the test file; without any, of its definition."""
    from runner.cli.checking.test_files import check_test_file
    from runner.definition.source import read_file
    from runner.lint.checked import check_file

    root = chosen.project.root
    own = check_test_file(file, root)
    if own:
        return own
    definition = file.parent / read_file(file).value["definition"]
    found = check_file(definition, root=root, contracts=registry.contracts())[1]
    return [problem for problem in found if problem.severity == "error"]


def _run_case(file: Path, name: str, registry: Registry, root: Path) -> CaseResult:
    from time import perf_counter

    from runner.starting import random_run_id
    from runner.testing import play_case

    began = perf_counter()
    try:
        with contextlib.redirect_stdout(sys.stderr):  # a worker's prints are no results
            # An id of its own, as in real life: two cases are never one operation to what the workers ask.
            run, misses = play_case(file, name, workers=registry, root=root, run_id=random_run_id())
    except Exception as error:  # whatever it is, it is what came of this case
        first, *rest = str(error).splitlines() or [""]
        return CaseResult(str(file), name, perf_counter() - began, (f"{type(error).__name__}: {first}", *rest))
    story = tuple(_story(run)) if misses else ()
    return CaseResult(str(file), name, perf_counter() - began, tuple(misses), story, run.duration_ms)


def _story(run: TestRun) -> Iterator[str]:
    """What happened, in a few lines."""
    if run.error is not None:
        at = f" at {run.error.step}" if run.error.step else ""
        yield f"error: {run.error.code}{at}: {run.error.message}"
    yield f"steps: {', '.join(f'{path} {status}' for path, status in run.steps.items()) or 'none'}"
    yield f"calls: {', '.join(run.calls) or 'none'}"


@contextlib.contextmanager
def _state() -> Iterator[None]:
    """A folder for what workers keep themselves, empty and for this command alone."""
    with tempfile.TemporaryDirectory(prefix="sagarun-test-", ignore_cleanup_errors=True) as folder:
        before = os.environ.get(STATE)
        os.environ[STATE] = folder
        try:
            yield
        finally:
            if before is None:
                del os.environ[STATE]
            else:
                os.environ[STATE] = before
