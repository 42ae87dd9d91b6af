"""`sagarun validate`: everything that can be said of definitions and test files before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli.failure import Exit
from runner.cli.options import keep, plain_options

if TYPE_CHECKING:
    from runner.cli.settings import Settings
    from runner.definition.problem import Problem

_FORMATS = ("text", "full", "concise", "json", "jsonl")
_SUFFIXES = (".yaml", ".yml")


@click.command(short_help="Check definitions, and what they say about workers.")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--workers", multiple=True, metavar="MODULE", help="Modules with the workers, instead of the project's.")
@click.option("--no-workers", is_flag=True, help="Do not import the workers: what is said of them is not checked.")
@click.option(
    "--format", type=click.Choice(_FORMATS), callback=keep, expose_value=False,
    help="How problems are printed (full: with the line and a caret).",
)
@plain_options
def command(paths: tuple[Path, ...], workers: tuple[str, ...], no_workers: bool) -> int:
    """Check definitions and test files: PATHs are files or folders, by default the project's definitions/.

    Exit code 1 if there is an error; warnings alone are 0.
    """
    from runner.builtin import builtin_contracts
    from runner.cli import problems as form
    from runner.cli.settings import settings

    chosen = settings(paths[0] if paths else None)
    files = list(files_of(paths or (chosen.project.definitions,)))
    contracts = None if no_workers else _contracts(chosen, workers)
    found = check_all(files, chosen, contracts)
    screen = chosen.screen
    match chosen.format:
        case "json":
            screen.json(form.as_json(found))
        case "jsonl":
            for problem in form.as_json(found):
                screen.json(problem)
        case "concise":
            for line in form.concise(found):
                screen.data(line)
        case _:
            for line in form.full(found, chosen.project.root)[:-1]:
                screen.data(line)
    screen.note(f"{form.total(found)} in {len(files)} file{'' if len(files) == 1 else 's'}")
    if contracts is not None and contracts.keys() == builtin_contracts().keys() and form.has_errors(found):
        screen.note("the project has no workers of its own; what can be said without them: --no-workers")
    return Exit.NEGATIVE if form.has_errors(found) else Exit.DONE


def check_all(
    paths: Sequence[Path], chosen: Settings, contracts: Mapping[str, Mapping[str, Any]] | None
) -> list[Problem]:
    """Every problem of these files and folders. Raises UsageError for one that is not there."""
    found = (problem for file in files_of(paths) for problem in _check(file, chosen, contracts))
    return list(dict.fromkeys(found))  # what is wrong with a subworkflow is wrong with all that start it


def files_of(paths: Sequence[Path]) -> Iterator[Path]:
    """The files, and those in the folders. Raises UsageError."""
    from runner.errors import UsageError

    for path in paths:
        if path.is_dir():
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


def _contracts(chosen: Settings, workers: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
    from runner.cli.workshop import import_workers
    from runner.errors import ConfigError

    try:
        return import_workers(chosen.project, workers).contracts()
    except ConfigError as error:
        raise ConfigError(f"{error}\nor check what can be said without them: --no-workers") from error


def _check(file: Path, chosen: Settings, contracts: Mapping[str, Mapping[str, Any]] | None) -> list[Problem]:
    if is_test_file(file):
        from runner.cli.test_files import check_test_file

        return check_test_file(file, chosen.project.root)
    from runner.lint.checked import check_file

    return check_file(file, root=chosen.project.root, contracts=contracts)[1]


def is_test_file(file: Path) -> bool:
    return file.suffix in _SUFFIXES and file.stem.endswith(".test")
