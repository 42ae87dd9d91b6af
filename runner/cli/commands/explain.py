"""`sagarun explain`: what a code of `validate` means, with an example that has it and one that has not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from runner.cli.options import shared_options

if TYPE_CHECKING:
    from runner.cli.checking.explanations import Example, Explanation
    from runner.cli.screen import Line
    from runner.cli.settings import Settings


@click.command(short_help="Say what a code of validate means.")
@click.argument("code", required=False)
@shared_options
def command(code: str | None) -> None:
    """Say what CODE (SR204) means, with a wrong and a right example; without one, list all codes."""
    from runner.cli.checking.explanations import explanation
    from runner.cli.settings import settings

    chosen = settings()
    if code is None:
        _list(chosen)
        return
    found = explanation(_normal(code))
    if found is None:
        raise _unknown(code)
    if chosen.format == "text":
        for line in _lines(found):
            chosen.screen.data(line)
    else:
        chosen.screen.json(asdict(found))


def _normal(code: str) -> str:
    """sr204 and 204 are SR204."""
    upper = code.upper()
    return upper if upper.startswith("SR") else f"SR{upper}"


def _unknown(code: str) -> Exception:
    from runner.cli.checking.explanations import explained_codes
    from runner.cli.failure import did_you_mean
    from runner.errors import UsageError

    hint = did_you_mean(_normal(code), explained_codes()) or " All of them: sagarun explain"
    return UsageError(f'validate has no code "{code}".{hint}')


def _list(chosen: Settings) -> None:
    from runner.cli.checking.explanations import explained_codes, explanation

    found = [page for code in explained_codes() if (page := explanation(code)) is not None]
    if chosen.format == "json":
        chosen.screen.json({page.code: page.title for page in found})
        return
    for page in found:
        if chosen.format == "jsonl":
            chosen.screen.json({"code": page.code, "title": page.title})
        else:
            chosen.screen.data([(page.code, "bold"), (f"  {page.title}", "")])


def _lines(page: Explanation) -> Iterator[Line]:
    yield [(page.code, "bold"), (f"  {page.title}", "bold")]
    yield [("", "")]
    for line in page.meaning.splitlines():
        yield [(line, "")]
    for label, style, examples in (("wrong", "red", page.wrong), ("right", "green", page.right)):
        for index, example in enumerate(examples):
            yield [("", "")]
            yield from _example(label if index == 0 else "", style, example)


def _example(label: str, style: str, example: Example) -> Iterator[Line]:
    from runner.cli.checking.explanations import MAIN

    name = "" if example.file == MAIN else example.file
    yield [(": ".join(filter(None, [label, name])) + (":" if not name else ""), style)]
    for line in example.shown.splitlines():
        yield [(f"  {line}", "")]
