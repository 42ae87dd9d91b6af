"""`sagarun schema`: what a definition may say, for editors; also with what this project's workers take."""

from __future__ import annotations

import json
from pathlib import Path

import click

from runner.cli.options import shared_options
from runner.cli.parameters import workers_option

NAME = "workflow.schema.json"


@click.command(short_help="Print the schema of definitions, for editors.")
@click.option("--project", "of_project", is_flag=True, help="With this project's workers and what they take.")
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True), metavar="FILE",
    help="Where it is written; - is standard output. With --project: .sagarun/workflow.schema.json.",
)  # fmt: skip
@click.option("--live", is_flag=True, help="Import the workers, also where schemas/workers.json says what they take.")
@workers_option
@shared_options
def command(of_project: bool, output: Path | None, live: bool, workers: tuple[str, ...]) -> None:
    """Print the JSON Schema of definitions, by which an editor with a YAML language server completes and checks.

    With --project it knows the workers too, and is written to .sagarun/. A definition names it in its first line:
    # yaml-language-server: $schema=../.sagarun/workflow.schema.json
    """
    from runner.cli.checking.contracts import known_contracts
    from runner.cli.checking.project_schema import project_schema
    from runner.cli.settings import settings
    from runner.definition.schema import load_schema
    from runner.errors import ConfigError, UsageError

    chosen = settings()
    project = chosen.project
    if not of_project and (live or workers):
        raise UsageError("--live and --workers are about the project's workers: add --project")
    schema = project_schema(known_contracts(project, workers, live=live)) if of_project else load_schema("workflow")
    file = output or (project.state / NAME if of_project else Path("-"))
    text = json.dumps(schema, indent=2, ensure_ascii=False)
    if file == Path("-"):
        chosen.screen.data(text)
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}") from error
    chosen.screen.note(f"written to {file}; the first line of a definition in {project.definitions.name}/ names it:")
    chosen.screen.note(f"# yaml-language-server: $schema={_reference(file, project.definitions)}")


def _reference(file: Path, folder: Path) -> str:
    """As a definition in this folder has to name the file."""
    import os

    return Path(os.path.relpath(file.resolve(), folder)).as_posix()
