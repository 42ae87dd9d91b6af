"""`sagarun workers`: which workers the project has, and their contracts as a file that is checked in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli.failure import Exit
from runner.cli.options import shared_options
from runner.cli.parameters import workers_option
from runner.cli.verbs import Verbs

if TYPE_CHECKING:
    from runner.cli.screen import Line
    from runner.cli.settings import Settings

_output_option = click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True), metavar="FILE",
    help="Another file than schemas/workers.json; - is standard output.",
)  # fmt: skip


@click.group(cls=Verbs, short_help="The workers and their contracts: list, processes, export, check.")
@shared_options
def command() -> None:
    """List the project's workers, and write their contracts to schemas/workers.json.

    Check that file in: `validate` then knows what workers take and give, and imports no worker code.
    """


@command.command("list", short_help="List the workers: what they take, and how they say no.")
@workers_option
@shared_options
def list_(workers: tuple[str, ...]) -> None:
    """List the workers: what they take, how they say no, where they are."""
    from runner.cli.hosting.workshop import import_workers
    from runner.cli.settings import settings

    chosen = settings()
    contracts = import_workers(chosen.project, workers).contracts()
    rows = [contracts[name] for name in sorted(contracts)]
    match chosen.format:
        case "json":
            chosen.screen.json(rows)
        case "jsonl":
            for row in rows:
                chosen.screen.json(row)
        case _:
            width = max(len(str(row["name"])) for row in rows)
            for row in rows:
                chosen.screen.data(_line(row, width))
            chosen.screen.note("the processes that run them: sagarun workers processes")


@command.command("processes", short_help="List the processes that run: memory, CPU, what they did.")
@shared_options
def processes() -> None:
    """List the engine and worker processes that run: since when, memory, CPU, and what they did in 15 minutes."""
    import msgspec

    from runner.cli.access import access, has_runs
    from runner.cli.settings import settings
    from runner.cli.stats_lines import process_rows
    from runner.cli.wording import columns
    from runner.monitor.performance import read_processes
    from runner.monitor.performance_shapes import ProcessStats

    chosen = settings()
    found: list[ProcessStats] = []
    now_ms = 0
    if has_runs(chosen):
        with access(chosen) as reach:
            found, now_ms = read_processes(reach.client.store), reach.client.store.now_ms()
    match chosen.format:
        case "json":
            chosen.screen.json(msgspec.to_builtins(found))
        case "jsonl":
            for each in found:
                chosen.screen.json(msgspec.to_builtins(each))
        case _:
            for line in columns(list(process_rows(found, now_ms))):
                chosen.screen.data(line)


@command.command("export", short_help="Write the contracts to schemas/workers.json.")
@workers_option
@_output_option
@click.option("--check", is_flag=True, help="Write nothing; exit code 1 if the file is stale, with what differs.")
@shared_options
def export(workers: tuple[str, ...], output: Path | None, check: bool) -> int:
    """Write the contracts to schemas/workers.json, by which `validate` checks without importing the workers."""
    return _check(workers, output) if check else _export(workers, output)


@command.command("check", short_help="Say whether schemas/workers.json is current.")
@workers_option
@shared_options
def check(workers: tuple[str, ...]) -> int:
    """Say whether schemas/workers.json is what `export` would write: exit code 1 and what differs if it is not."""
    return _check(workers, None)


def _export(workers: tuple[str, ...], output: Path | None) -> int:
    from runner.cli.checking.contracts import lock_file, lock_text, locked
    from runner.cli.hosting.workshop import import_workers
    from runner.cli.settings import settings
    from runner.cli.wording import plural
    from runner.errors import ConfigError

    chosen = settings()
    contracts = import_workers(chosen.project, workers).contracts()
    text = lock_text(contracts)
    if output == Path("-"):
        chosen.screen.data(text.rstrip("\n"))
        return Exit.DONE
    file = output or lock_file(chosen.project)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}") from error
    chosen.screen.note(f"{plural(len(locked(contracts)), 'worker')} in {_shown(file, chosen)}")
    return Exit.DONE


def _check(workers: tuple[str, ...], output: Path | None) -> int:
    from runner.cli.checking.contracts import differences, lock_file, locked, read_lock
    from runner.cli.hosting.workshop import import_workers
    from runner.cli.settings import settings
    from runner.errors import UsageError

    if output == Path("-"):
        raise UsageError("--check compares with a file: standard output is none")
    chosen = settings()
    file = output or lock_file(chosen.project)
    contracts = import_workers(chosen.project, workers).contracts()
    if not file.is_file():
        chosen.screen.error([f"error: there is no {_shown(file, chosen)}", "hint:  sagarun workers export"])
        return Exit.NEGATIVE
    found = list(differences(read_lock(file), locked(contracts)))
    if chosen.format == "json":
        chosen.screen.json(found)
    else:
        for line in found:
            chosen.screen.data(line) if chosen.format == "text" else chosen.screen.json(line)
    if found:
        chosen.screen.error([f"error: {_shown(file, chosen)} is stale", "hint:  sagarun workers export"])
        return Exit.NEGATIVE
    chosen.screen.note(f"{_shown(file, chosen)} is current")
    return Exit.DONE


def _shown(file: Path, chosen: Settings) -> str:
    root = chosen.project.root
    return str(file.relative_to(root)) if file.is_relative_to(root) else str(file)


def _line(contract: Mapping[str, Any], width: int) -> Line:
    schema = contract["input"]
    required = schema.get("required", ())
    names = [name if name in required else f"{name}?" for name in schema.get("properties", {})]
    marks = ["readonly"] if contract["readonly"] else []
    marks += [f"raises {', '.join(contract['raises'])}"] if contract["raises"] else []
    if contract["queue"] != contract["name"]:
        marks.append(f"queue {contract['queue']}")
    marks += [f"{key} {contract[key]}" for key in ("rate_limit", "max_concurrency") if key in contract]
    note = f"  {' · '.join(marks)}" if marks else ""
    return [
        (f"{contract['name']:<{width}}", "bold"),
        (f"  ({', '.join(names)})", ""),
        (note, "cyan"),
        (f"  {contract.get('location', '')}", "dim"),
    ]
