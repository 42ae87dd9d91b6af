"""`sagarun signal`: tell a run what one of its steps waits for."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from runner.cli.assignment import Assignment, assign, assignments
from runner.cli.many import Act, act_on_many, query_options, run_and
from runner.cli.options import shared_options
from runner.cli.parameters import by_option, reason_option, workers_option


@click.command(short_help="Tell a run what one of its steps waits for.")
@click.argument("words", nargs=-1, required=True, metavar="RUN NAME")
@query_options
@click.option("--data", metavar="JSON", help="What the signal says.")
@click.option("--data-file", "file", metavar="FILE|-", help="The same, from a JSON or YAML file, or standard input.")
@click.option(
    "--set", "sets", multiple=True, metavar="a.b=TEXT", callback=assignments,
    help="Change the data: a.b=text or a.b:=json; may be repeated.",
)
@click.option("--id", "signal_id", metavar="ID", help="The same id again does nothing; for whoever may repeat it.")
@reason_option
@by_option
@workers_option
@shared_options
def command(
    words: tuple[str, ...], query: str | None, yes: bool, data: str | None, file: str | None,
    sets: tuple[Assignment, ...], signal_id: str | None, reason: str, by: str, workers: tuple[str, ...],
) -> int:
    """Send RUN (with --query: all those runs) the signal NAME, for which a `wait_for` of it waits, or will wait.

    The data is checked against the schema of that step first. A signal that comes early is kept.
    """
    import secrets

    from runner.cli.asking import send_signal
    from runner.errors import UsageError

    if data is not None and file is not None:
        raise UsageError("--data and --data-file both say what the signal says: leave one out")
    value = _data(data, file, sets)
    sent_as = secrets.token_hex(8) if signal_id is None else signal_id
    run, name = run_and(words, "NAME", query)

    def ask(client: Any, run_id: str, wait_s: float) -> Any:
        return client.signal(run_id, name, value, signal_id=sent_as, reason=reason, by=by, timeout=wait_s)

    if run is not None:
        return send_signal(run, name, ask, workers)
    act = Act("signal", lambda client, run_id, wait_s: (ask(client, run_id, wait_s), ""))
    return act_on_many(act, query or "", workers, yes=yes)


def _data(data: str | None, file: str | None, sets: Sequence[Assignment]) -> Any:
    value = None
    if data is not None:
        value = _from_text(data)
    elif file is not None:
        value = _from_file(file)
    for assignment in sets:
        value = assign(value, assignment)
    return value


def _from_text(text: str) -> Any:
    import msgspec

    from runner.errors import UsageError

    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        name, separator, value = text.partition("=")
        hint = "text needs quotes: --data '\"text\"'"
        if separator and name.isidentifier():
            hint = f"--set {name}:={value} for a value as JSON has it, --set {text} for text"
        raise UsageError(f"--data {text!r} is not JSON: {error}\n{hint}") from None


def _from_file(file: str) -> Any:
    from runner.cli.run_input import parse_value
    from runner.errors import InputError, UsageError

    try:
        text = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return parse_value(text.decode(), "standard input" if file == "-" else file)
    except OSError as error:
        raise UsageError(f"--data-file {file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"--data-file {file} is not UTF-8 text") from None
    except InputError as error:
        raise UsageError(f"--data-file: {error.problems[0]}") from None
