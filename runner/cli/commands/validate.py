"""`sagarun validate`: everything that can be said of definitions and test files before anything runs."""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli.failure import Exit
from runner.cli.options import keep, plain_options

if TYPE_CHECKING:
    from runner.cli.settings import Settings
    from runner.definition.problem import Problem
    from runner.lint.choice import Choice

_REPORTERS = {  # forms that other programs read; each has a module
    "github": "runner.cli.reporters.github",
    "gitlab": "runner.cli.reporters.gitlab",
    "junit": "runner.cli.reporters.junit",
    "sarif": "runner.cli.reporters.sarif",
}
_FORMATS = ("text", "full", "concise", "json", "jsonl", *_REPORTERS)
_SEVERITIES = ("error", "warning", "info")
_TEST_FILE_CODES = tuple(f"SR12{digit}" for digit in range(6))
_STDIN = Path("-")
_SUFFIXES = (".yaml", ".yml")


@click.command(short_help="Check definitions, and what they say about workers.")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--workers", multiple=True, metavar="MODULE", help="Modules with the workers, instead of the project's.")
@click.option("--no-workers", is_flag=True, help="What is said of workers is not checked.")
@click.option("--live", is_flag=True, help="Import the workers, also where schemas/workers.json says what they take.")
@click.option(
    "--format", type=click.Choice(_FORMATS), callback=keep, expose_value=False,
    help="How problems are printed (full: with the line and a caret). In GitHub Actions: github.",
)
@click.option("--select", multiple=True, metavar="CODE", help="Only these codes, or beginnings of codes (SR3).")
@click.option("--ignore", multiple=True, metavar="CODE", help="Not these. Errors cannot be ignored.")
@click.option("--fail-on", type=click.Choice(_SEVERITIES), help="From which severity on the exit code is 1 (error).")
@click.option("--stdin-name", default="-", metavar="FILE", help="What a definition from standard input (-) is called.")
@click.option("--fix", is_flag=True, help="Mend slips of the pen, where there is no doubt what was meant.")
@click.option("--diff", "only_shown", is_flag=True, help="With --fix: show what would be mended, and write nothing.")
@plain_options
def command(
    paths: tuple[Path, ...], workers: tuple[str, ...], no_workers: bool, live: bool, select: tuple[str, ...],
    ignore: tuple[str, ...], fail_on: str | None, stdin_name: str, fix: bool, only_shown: bool,
) -> int:
    """Check definitions and test files: PATHs are files or folders, by default the project's definitions/; - is
    standard input.

    Exit code 1 if there is an error; warnings alone are 0, unless --fail-on says otherwise. A warning is ignored by a
    comment in its line, or above it: # sagarun: ignore[SR301] the reason

    --fix changes misspelt words and nothing else, checks the file again and says what it did; what it reports then is
    what is left. With --diff the exit code is also 1 if there is something to mend.
    """
    from runner.builtin import builtin_contracts
    from runner.cli.checking.problems import has_errors
    from runner.cli.settings import settings

    chosen = settings(next((path for path in paths if path != _STDIN), None))
    files = list(files_of(paths or (chosen.project.definitions,)))
    if only_shown and not fix:
        raise click.UsageError("--diff shows what --fix would do: give both")
    if fix and _STDIN in files:
        raise click.UsageError("--fix writes files, and standard input is none")
    contracts = None if no_workers else _contracts(chosen, workers, live)
    texts = {stdin_name: sys.stdin.read()} if _STDIN in files else {}
    files = [Path(stdin_name) if file == _STDIN else file for file in files]
    wanted = _choice(chosen, select, ignore)

    def findings() -> list[Problem]:
        return [problem for problem in check_all(files, chosen, contracts, texts) if wanted.takes(problem)]

    found = findings()
    mendable = False
    if fix:
        from runner.cli.checking.fixing import mend_files, show, write

        changes = mend_files(
            files, found, lambda file, text: list(filter(wanted.takes, _check(file, chosen, contracts, text=text)))
        )
        (show if only_shown else write)(changes, chosen.screen)
        mendable = only_shown and bool(changes)
        found = findings() if changes and not only_shown else found
    if not only_shown:
        _report(found, chosen, files, texts)
    if contracts is not None and contracts.keys() == builtin_contracts().keys() and has_errors(found):
        chosen.screen.note("the project has no workers of its own; what can be said without them: --no-workers")
    bad = _SEVERITIES[: _SEVERITIES.index(fail_on or chosen.project.validate.fail_on) + 1]
    return Exit.NEGATIVE if mendable or any(problem.severity in bad for problem in found) else Exit.DONE


def _report(found: list[Problem], chosen: Settings, files: list[Path], texts: Mapping[str, str]) -> None:
    """In the form that was asked for, and how many they are."""
    from runner.cli.checking import problems as form

    screen = chosen.screen
    form_name = chosen.format
    if form_name == "text" and os.environ.get("GITHUB_ACTIONS") == "true" and not sys.stdout.isatty():
        form_name = "github"
    match form_name:
        case "github" | "gitlab" | "junit" | "sarif":
            reporter = importlib.import_module(_REPORTERS[form_name])
            for line in reporter.report(found, files):
                screen.data(line)
        case "json":
            screen.json(form.as_json(found))
        case "jsonl":
            for problem in form.as_json(found):
                screen.json(problem)
        case "concise":
            for line in form.concise(found):
                screen.data(line)
        case _:
            from runner.cli.screen import styled

            for line in form.full(found, chosen.project.root, texts)[:-1]:
                screen.data(styled(line))
    screen.note(f"{form.total(found)} in {len(files)} file{'' if len(files) == 1 else 's'}")


def _choice(chosen: Settings, select: tuple[str, ...], ignore: tuple[str, ...]) -> Choice:
    """What was given here before what the project says. Raises UsageError for what no code begins with."""
    from runner.definition.complaint import did_you_mean
    from runner.errors import UsageError
    from runner.lint.choice import Choice
    from runner.lint.linter import titles

    project = chosen.project.validate
    made = Choice(select or project.select, (*ignore, *project.ignore))
    known = {*titles(), *_TEST_FILE_CODES}
    for code in (*made.select, *made.ignore):
        if not any(each.startswith(code) for each in known):
            hint = did_you_mean(code, sorted(known))
            raise UsageError(f"no check has the code {code}{f'; {hint}' if hint else ''}")
    return made


def check_all(
    paths: Sequence[Path], chosen: Settings, contracts: Mapping[str, Mapping[str, Any]] | None,
    texts: Mapping[str, str] | None = None,
) -> list[Problem]:
    """Every problem of these files and folders. Raises UsageError for one that is not there.

    texts: those of definitions that are in no file, by the name they go by.
    """
    from runner.cli.checking.side_by_side import checked

    given = texts or {}
    files = [path for path in paths if str(path) in given]
    files += files_of([path for path in paths if str(path) not in given])
    usual = gc.get_threshold()
    gc.set_threshold(100_000, 50, 50)  # little of this is garbage: looking for it takes a tenth of the time
    try:
        each = checked(files, lambda file: _check(file, chosen, contracts, given=given.get(str(file))))
        # What is wrong with a subworkflow is wrong with all that start it: each once.
        return list(dict.fromkeys(problem for found in each for problem in found))
    finally:
        gc.set_threshold(*usual)


def files_of(paths: Sequence[Path]) -> Iterator[Path]:
    """The files, and those in the folders. Raises UsageError."""
    from runner.errors import UsageError

    for path in paths:
        if path == _STDIN:
            yield path
        elif path.is_dir():
            inside = sorted(file for suffix in _SUFFIXES for file in path.rglob(f"*{suffix}"))
            if not inside:
                raise UsageError(f"there is no definition in {path}")
            yield from map(_shown, inside)
        elif path.exists():
            yield path
        else:
            raise UsageError(f"there is no file or folder {path}")


def _shown(file: Path) -> Path:
    """As a person here would write it."""
    return file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file


def _contracts(chosen: Settings, workers: Sequence[str], live: bool) -> Mapping[str, Mapping[str, Any]]:
    from runner.cli.checking.contracts import known_contracts
    from runner.errors import ConfigError

    try:
        return known_contracts(chosen.project, workers, live=live)
    except ConfigError as error:
        raise ConfigError(f"{error}\nor check what can be said without them: --no-workers") from error


def _check(
    file: Path, chosen: Settings, contracts: Mapping[str, Mapping[str, Any]] | None, *, given: str | None = None,
    text: str | None = None,
) -> list[Problem]:
    """`given`: a definition that is in no file. `text`: what is to be in the file, and is not yet."""
    if given is not None:
        from runner.definition.load import examine_text
        from runner.lint.linter import lint_draft

        return lint_draft(examine_text(given, file=str(file), root=chosen.project.root, contracts=contracts), contracts)
    if is_test_file(file):
        from runner.cli.checking.test_files import check_test_file

        return check_test_file(file, chosen.project.root, text)
    from runner.lint.checked import check_file

    return check_file(file, root=chosen.project.root, contracts=contracts, text=text)[1]


def is_test_file(file: Path) -> bool:
    return file.suffix in _SUFFIXES and file.stem.endswith(".test")
