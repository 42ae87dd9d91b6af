"""`sagarun`: the group of all commands, and the one place where exceptions become messages and exit codes.

Rule: this module imports click and nothing heavy, because `--help` and completion run it. A command's module is
imported when the command is called, and imports what it needs when it runs.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from runner import __version__
from runner.cli.failure import Exit, did_you_mean
from runner.cli.options import shared_options
from runner.cli.screen import Screen, prepare_streams, something_was_lost

SECTIONS: dict[str, dict[str, str]] = {
    "Author": {
        "validate": "Check definitions, and what they say about workers.",
        "fmt": "Write definitions in the canonical form.",
        "diff": "Say what a definition does otherwise than before.",
        "test": "Run the cases of test files, in memory.",
        "schema": "Print the schema of definitions, for editors.",
        "explain": "Say what a code of validate means.",
        "explain-time": "Say how long a workflow may take at worst.",
        "graph": "Draw a definition, with its undo edges.",
        "lsp": "Serve editors: findings, completion, hover, definitions.",
    },
    "Run": {
        "run": "Start a workflow and follow it to its end.",
        "list": "List runs, the newest first.",
        "show": "Show a run: every step, what stands, what can be done.",
        "watch": "Follow a run that was started elsewhere.",
        "tail": "Follow the events of all runs, as they happen.",
        "cancel": "Stop a run and undo what it did.",
        "resume": "Ask the stuck operations of a run again.",
        "resolve": "Say how a stuck step was settled by hand.",
        "signal": "Tell a run what one of its steps waits for.",
        "abandon": "End a run without undoing anything.",
        "rerun": "Start a run again, with the same input.",
        "export": "Write a run with all that belongs to it into one file.",
        "replay": "Step through an exported run, offline, and check its history.",
    },
    "Operate": {
        "schedule": "Start workflows by the clock: add, list, pause, resume, remove.",
        "engine": "Host an engine: it decides what runs do next.",
        "worker": "Host the project's workers.",
        "workers": "The workers and their contracts: list, processes, export, check.",
        "stats": "How workers, processes, queues and workflows do.",
        "alerts": "The alert rules, what each finds now, and who is told.",
        "metrics": "Print the metrics as Prometheus scrapes them.",
        "queues": "What waits in queues, since when, and who serves it.",
        "archive": "Copy runs that are over to the archive, now.",
        "errors": "What goes wrong, by pattern: list, show, resolve, ignore.",
        "trace": "Send the traces of runs that are over once more, or say their ids.",
        "doctor": "Look at everything a run needs, and say what is wrong.",
    },
}
SUMMARIES = {name: summary for section in SECTIONS.values() for name, summary in section.items()}


class Commands(click.Group):
    """Commands by name, imported when they are wanted; a definition's file name stands for `run`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # Versions of click disagree on where the help goes, and on the exit code. A shell that completes wants none.
        if not args and not ctx.resilient_parsing:
            Screen().error(ctx.get_help().splitlines())
            ctx.exit(Exit.USAGE)
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Also files, as `sagarun FILE.yaml` is a command."""
        return [*super().shell_complete(ctx, incomplete), CompletionItem(incomplete, type="file")]

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(SUMMARIES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in SUMMARIES:
            return None
        command: click.Command = importlib.import_module(f"runner.cli.commands.{cmd_name.replace('-', '_')}").command
        command.name = cmd_name
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        word = args[0]
        if word == "-" or word.endswith((".yaml", ".yml")):
            args = ["run", *args]
        elif word not in SUMMARIES:
            is_definition = Path("definitions", f"{word}.yaml").is_file()
            meant = f' Did you mean "run {word}"?' if is_definition else did_you_mean(word, SUMMARIES)
            ctx.fail(f'there is no command "{word}".{meant}')
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl(list(commands.items()))


@click.command(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="`sagarun FILE.yaml` is `sagarun run FILE.yaml`. Exit codes: 0 done, 1 failed and undone or problems found, "
    "2 usage, 3 a person is needed, 4 cancelled, 5 the wait timed out, 6 Redis unreachable, 70 internal error, "
    "130 interrupted.",
)
@click.version_option(__version__, prog_name="sagarun", message="%(prog)s %(version)s")
@shared_options
def group() -> None:
    """Run workflows that are done completely, or undone."""


def main() -> None:
    """The console script."""
    prepare_streams()
    code = invoke(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or never there
            stream.flush()
    if code == Exit.DONE and something_was_lost():
        code = Exit.USAGE
    # Not sys.exit: taking the interpreter apart costs a tenth of a second, and trips over threads that still wait.
    os._exit(code)


def invoke(arguments: Sequence[str]) -> int:
    """Run one command and answer with its exit code; whatever goes wrong is told on stderr."""
    try:
        answer = group.main(args=list(arguments), prog_name="sagarun", standalone_mode=False)
        return int(answer) if isinstance(answer, int) else Exit.DONE
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        return _usage(error)
    except (KeyboardInterrupt, click.Abort):
        return Exit.INTERRUPTED
    except BaseException as error:  # one place, so that nobody sees a traceback
        if isinstance(error, SystemExit):
            raise
        return _failed(error)


def _usage(error: click.ClickException) -> int:
    context: click.Context | None = getattr(error, "ctx", None)
    path = context.command_path if context else "sagarun"
    message = " ".join(error.format_message().split())
    if isinstance(error, click.NoSuchOption):  # click's own guess also counts the dashes, and so finds too much alike
        options = [name for parameter in context.command.params for name in parameter.opts] if context else []
        known = [name.removeprefix("--") for name in options if name.startswith("--")]
        meant = did_you_mean(error.option_name.removeprefix("--"), known, before="--")
        message = f"no such option '{error.option_name}'.{meant}"
    Screen().error([f"error: {message[:1].lower()}{message[1:]}", f"hint:  {path} --help"])
    return Exit.USAGE


def _failed(error: BaseException) -> int:
    from runner.cli import failure
    from runner.errors import DefinitionError, SagarunError

    screen = Screen()
    if isinstance(error, DefinitionError):
        screen.error(failure.problem_lines(error))
        return failure.exit_code(error)
    if isinstance(error, SagarunError):
        screen.error(failure.error_lines(error))
        return failure.exit_code(error)
    if isinstance(error, OSError) and failure.is_of_the_system(error):
        screen.error(failure.refusal_lines(error))
        return Exit.USAGE
    screen.error(failure.internal_error_lines(error, failure.write_traceback(error)))
    return Exit.INTERNAL



if __name__ == "__main__":
    main()
