"""`sagarun explain-time`: how long a workflow's steps may take at worst, and whether the run has that time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli.options import shared_options

if TYPE_CHECKING:
    from runner.definition.model import Definition, Step
    from runner.lint.timing import Span


@click.command(short_help="Say how long a workflow may take at worst.")
@click.argument("file", type=click.Path())
@shared_options
def command(file: str) -> None:
    """Say how long each step of the workflow in FILE (or of that name) may take at worst, its undo, and the whole run.

    Every attempt runs into its timeout, and every pause is as long as it may be. What the file does not say (how many
    items, when a signal comes) stays open, and so does time in queues without a queue_timeout. Settling comes on top
    where no attempt is ever answered: verifications, and trying on patiently.
    """
    from runner.cli.checking.contracts import known_contracts
    from runner.cli.checking.named import definition_file
    from runner.cli.settings import settings
    from runner.lint.checked import load_checked

    chosen = settings(Path(file))
    contracts = known_contracts(chosen.project)
    path = definition_file(file, chosen.project)
    report = report_of(load_checked(path, root=chosen.project.root, contracts=contracts))
    match chosen.format:
        case "json":
            chosen.screen.json(report)
        case "jsonl":
            for row in report["steps"]:
                chosen.screen.json(row)
        case _:
            for line in _lines(report):
                chosen.screen.data(line)


def report_of(definition: Definition) -> dict[str, Any]:
    from runner.lint.timing import Terms, run_span, span_of, undo_ms

    steps = [_row(step, depth, definition) for step, depth in _below(definition.steps, 0)]
    finally_ = [_row(step, depth, definition) for step, depth in _below(definition.finally_, 0)]
    span, settled = run_span(definition), run_span(definition, settled=True)
    behind = span_of(definition.finally_, Terms(definition.children))
    return {
        "workflow": definition.workflow, "version": definition.version, "timeout_ms": definition.timeout_ms or None,
        "worst_ms": span.ms, "settle_ms": settled.ms - span.ms, "open": list(span.open),
        "finally_ms": behind.ms, "finally_open": list(behind.open), "undo_ms": undo_ms(definition),
        "steps": steps, "finally": finally_,
    }  # fmt: skip


def _below(steps: tuple[Step, ...], depth: int) -> Iterator[tuple[Step, int]]:
    from runner.definition.model import sequences_of

    for step in steps:
        yield step, depth
        for sequence in sequences_of(step):
            yield from _below(sequence, depth + 1)


def _row(step: Step, depth: int, definition: Definition) -> dict[str, Any]:
    from runner.definition.model import Call
    from runner.lint.timing import Terms, call_ms, step_span

    span: Span = step_span(step, Terms(definition.children))
    undo = getattr(step.action, "compensate", None)
    return {
        "id": step.id, "path": step.path, "depth": depth, "worst_ms": span.ms, "open": list(span.open),
        "how": _how(step), "undo_ms": call_ms(undo) if isinstance(undo, Call) else None,
        "undo_how": _attempts(undo) if isinstance(undo, Call) else "",
        "settle_ms": _settle_ms(step, definition), "is_short": _is_short(step),
    }  # fmt: skip


def _settle_ms(step: Step, definition: Definition) -> int | None:
    from runner.definition.model import WorkerAction
    from runner.lint.timing import settle_ms

    if not isinstance(step.action, WorkerAction):
        return None
    return settle_ms(step.action, definition.compensation_retry) or None


def _is_short(step: Step) -> bool:
    from runner.definition.model import WorkerAction
    from runner.lint.timing import LOST_MS

    return isinstance(step.action, WorkerAction) and step.action.call.timeout_ms < LOST_MS


def _how(step: Step) -> str:
    from runner.definition.duration import shown_duration
    from runner.definition.model import LoopAction, ParallelAction, RepeatAction, SwitchAction, WorkerAction

    match step.action:
        case WorkerAction() as action:
            limit = action.total_timeout_ms
            total = f", at most {shown_duration(limit)} in all" if limit else ""
            return _attempts(action.call, action.queue_timeout_ms) + total
        case LoopAction() as action:
            return "each item" if not isinstance(action.in_, list) else f"{len(action.in_)} items"
        case RepeatAction() as action:
            return f"{action.max_rounds} rounds"
        case ParallelAction():
            return "its longest branch"
        case SwitchAction():
            return "its longest case"
    return ""


def _attempts(call: Any, queue_ms: int = 0) -> str:
    from runner.definition.duration import shown_duration
    from runner.lint.timing import pauses_ms

    count = call.retry.max_attempts
    queued = f" and {shown_duration(queue_ms)} in the queue" if queue_ms else ""
    each = f"{shown_duration(call.timeout_ms)}{queued}"
    if count == 1:
        return f"1 attempt of {each}"
    return f"{count} attempts of {each}, {shown_duration(pauses_ms(call.retry))} between"


def _lines(report: Mapping[str, Any]) -> Iterator[str]:
    from runner.lint.timing import LOST_MS

    rows = [*report["steps"], *report["finally"]]
    named = max(len(row["id"]) + 2 * row["depth"] for row in rows)
    spans = max(len(_span(row)) for row in rows)
    yield f"{report['workflow']} {report['version']}"
    for title in ("steps", "finally"):
        if title == "finally" and report[title]:
            yield "finally"
        for row in report[title]:
            name = "  " * row["depth"] + row["id"]
            undo = f"   undo {_duration(row['undo_ms'])}: {row['undo_how']}" if row["undo_ms"] is not None else ""
            settle = f"   settling {_duration(row['settle_ms'])}" if row["settle_ms"] is not None else ""
            yield f"  {name:<{named}}  {_span(row):>{spans}}  {row['how']}{settle}{undo}".rstrip()
    yield f"run   {_span(report)}{_verdict(report)}"
    if report["settle_ms"]:
        yield f"      and {_duration(report['settle_ms'])} if nothing is ever answered: verified, or tried on"
    if report["finally"]:
        behind = _span({"worst_ms": report["finally_ms"], "open": report["finally_open"]})
        yield f"      and {behind} of finally behind it, which no timeout ends"
    if any(row["is_short"] for row in rows):
        lost = _duration(LOST_MS)
        yield f"      an attempt whose process dies is over after {lost}, also where its timeout is shorter"
    yield f"undo  {_duration(report['undo_ms'])}, all of it, one after the other; a run's timeout does not end it"


def _verdict(report: Mapping[str, Any]) -> str:
    limit = report["timeout_ms"]
    if limit is None:
        return "; it has no timeout"
    if report["worst_ms"] > limit:
        return f"; its timeout of {_duration(limit)} comes first"
    return f"; its timeout is {_duration(limit)}"


def _span(row: Mapping[str, Any]) -> str:
    known = _duration(row["worst_ms"]) if row["worst_ms"] or not row["open"] else ""
    return " + ".join(filter(None, [known, *row["open"]]))


def _duration(ms: int) -> str:
    from runner.definition.duration import shown_duration

    return shown_duration(ms)
