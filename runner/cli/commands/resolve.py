"""`sagarun resolve`: say how a stuck step was settled by hand."""

from __future__ import annotations

from typing import Any

import click

from runner.cli.many import Act, act_on_many, query_options, run_and
from runner.cli.options import shared_options
from runner.cli.parameters import by_option, reason_option, workers_option

ANSWERS = ("completed", "failed", "compensated", "skipped")


@click.command(short_help="Say how a stuck step was settled by hand.")
@click.argument("words", nargs=-1, required=True, metavar="RUN STEP")
@query_options
@click.option("--as", "answer", type=click.Choice(ANSWERS), required=True, help="What became of it.")
@click.option("--output", metavar="JSON", help="With --as completed: the step's output.")
@reason_option
@by_option
@workers_option
@shared_options
def command(
    words: tuple[str, ...], query: str | None, yes: bool, answer: str, output: str | None, reason: str, by: str,
    workers: tuple[str, ...],
) -> int:
    """Say how STEP of RUN (with --query: only STEP, of all those runs) was settled by hand.

    A stuck action: completed (it took effect; give its --output) or failed (it did not, or you undid it). A stuck
    undo: compensated (you undid it) or skipped (it stands, and the run ends abandoned).
    """
    from runner.cli.asking import ANSWER_S, ask_and_follow
    from runner.errors import UsageError

    if output is not None and answer != "completed":
        raise UsageError(f"--output belongs to --as completed, not to --as {answer}")
    value = None if output is None else _json(output)
    run, step = run_and(words, "STEP", query)

    def ask(client: Any, run_id: str, wait_s: float = ANSWER_S) -> Any:
        return client.resolve(run_id, step, answer, output=value, reason=reason, by=by, timeout=wait_s)

    if run is not None:
        return ask_and_follow(run, "resolve", ask, workers)
    act = Act("resolve", lambda client, run_id, wait_s: (ask(client, run_id, wait_s), ""))
    return act_on_many(act, query or "", workers, yes=yes)


def _json(text: str) -> Any:
    import msgspec

    from runner.errors import UsageError

    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise UsageError(f"--output {text!r} is not JSON: {error}") from None
