"""`sagarun lsp`: tells editors what is wrong with a definition while it is written, and what may stand where."""

from __future__ import annotations

import sys

import click

from runner.cli.failure import Exit
from runner.cli.options import plain_options


@click.command(short_help="Serve editors: findings, completion, hover, definitions.")
@click.option("--stdio", is_flag=True, help="Over standard input and output: the only way, and many editors say so.")
@plain_options
def command(stdio: bool) -> int:  # noqa: ARG001
    """Serve an editor by the Language Server Protocol, over standard input and output: findings while you write,
    completion of keys, workers, steps and properties, hover, go to definition, quick fixes and formatting.

    It is in the extra lsp: pip install 'sagarun[lsp]'. How editors start it is in docs/editors.md.
    """
    from runner.cli.screen import Screen
    from runner.errors import ConfigError

    try:
        from runner.cli.language_server.server import make_server
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("pygls", "lsprotocol", "cattrs"):
            raise
        raise ConfigError("the language server is in the extra lsp: pip install 'sagarun[lsp]'") from error
    if sys.stdin.isatty():
        Screen().note("waiting for an editor on standard input; how editors start this: docs/editors.md")
    make_server().start_io()
    return Exit.DONE
