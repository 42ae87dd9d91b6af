"""`sagarun resolve`: say how a stuck step was settled by hand."""

from __future__ import annotations

from typing import Any

import click

from runner.cli.options import shared_options
from runner.cli.parameters import reason_option, workers_option

ANSWERS = ("completed", "failed", "compensated", "skipped")


@click.command(short_help="Say how a stuck step was settled by hand.")
@click.argument("run")
@click.argument("step")
@click.option("--as", "answer", type=click.Choice(ANSWERS), required=True, help="What became of it.")
@click.option("--output", metavar="JSON", help="With --as completed: the step's output.")
@reason_option
@workers_option
@shared_options
def command(run: str, step: str, answer: str, output: str | None, reason: str, workers: tuple[str, ...]) -> int:
    """Say how STEP of RUN was settled by hand.

    A stuck action: completed (it took effect; give its --output) or failed (it did not, or you undid it). A stuck
    undo: compensated (you undid it) or skipped (it stands, and the run ends abandoned).
    """
    from runner.cli.asking import ask_and_follow
    from runner.errors import UsageError

    if output is not None and answer != "completed":
        raise UsageError(f"--output belongs to --as completed, not to --as {answer}")
    value = None if output is None else _json(output)
    return ask_and_follow(
        run, "resolve",
        lambda client, run_id: client.resolve(run_id, step, answer, output=value, reason=reason), workers,
    )  # fmt: skip


def _json(text: str) -> Any:
    import msgspec

    from runner.errors import UsageError

    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise UsageError(f"--output {text!r} is not JSON: {error}") from None
