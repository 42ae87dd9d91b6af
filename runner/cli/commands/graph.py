"""`sagarun graph`: a definition as a picture, with its undo edges."""

from __future__ import annotations

from pathlib import Path

import click

from runner.cli.options import keep, plain_options

_FORMATS = ("text", "mermaid", "svg")


@click.command(short_help="Draw a definition, with its undo edges.")
@click.argument("file", type=click.Path())
@click.option("--format", type=click.Choice(_FORMATS), callback=keep, expose_value=False,
              help="text: an indented tree; mermaid: for Markdown; svg: a picture.")  # fmt: skip
@plain_options
def command(file: str) -> None:
    """Draw the workflow in FILE (or of that name): what is done in which order, and what undoes it. Nothing is run.

    The same definition gives the same picture.
    """
    from runner.cli.checking.contracts import known_contracts
    from runner.cli.checking.named import definition_file
    from runner.cli.drawing.flow import flow_of
    from runner.cli.settings import require_format, settings
    from runner.lint.checked import load_checked

    chosen = settings(Path(file))
    require_format(chosen.format, _FORMATS)
    path, root = definition_file(file, chosen.project), chosen.project.root
    flow = flow_of(load_checked(path, root=root, contracts=known_contracts(chosen.project)))
    match chosen.format:
        case "mermaid":
            from runner.cli.drawing import mermaid

            chosen.screen.data(mermaid.text(flow))
        case "svg":
            from runner.cli.drawing import svg

            chosen.screen.data(svg.text(flow))
        case _:
            from runner.cli.drawing import text

            for line in text.lines(flow):
                chosen.screen.data(line)
