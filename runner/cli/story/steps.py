"""`sagarun show RUN --steps` and `--logs`: what each step was given, what it gave, what went wrong, what it logged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from runner.cli.screen import Line, Screen, Span, json_text
from runner.cli.story.events import is_about
from runner.cli.story.layout import DONE, FAILED, NOTE, SKIPPED, STUCK
from runner.cli.story.report import attempts_json, step_json
from runner.cli.wording import STATUS_STYLES, duration, error_text, one_line
from runner.client import Client
from runner.monitor.shapes import RunView, StepView
from runner.monitor.story import Attempt

_SYMBOLS: dict[str, Span] = {
    "completed": DONE, "compensated": DONE, "failed": FAILED, "unknown": FAILED, "skipped": SKIPPED,
    "compensation_failed": STUCK,
}
_GIVEN = {"action": "input", "undo": "undo input", "verify": "verify input", "confirm": "confirm input"}


def show_steps(client: Client, view: RunView, screen: Screen, *, step: str = "") -> None:
    """Every step that has begun, with its values. -v: with tracebacks and attempts that went well."""
    given = read_given(client, view.run_id)
    chosen = [each for each in view.steps if each.has_begun and is_about(each.path, step)]
    if screen.format != "text":
        document = [{**step_json(each), **given.get(each.path, {}), "tries": attempts_json(each)} for each in chosen]
        _print_json(screen, document)
        return
    for each in chosen:
        for line in _step_lines(each, given.get(each.path, {}), verbose=screen.verbose):
            screen.data(line)


def _print_json(screen: Screen, document: Sequence[Any]) -> None:
    for each in [document] if screen.format == "json" else document:
        screen.json(each)


def read_given(client: Client, run_id: str) -> dict[str, dict[str, Any]]:
    """What the calls of each step were given, by path and then by `input`, `undo_input` …, as it may be shown."""
    run = client.state(client.stored(run_id))
    redaction = client.redaction(run_id)
    found: dict[str, dict[str, Any]] = {}
    for name, value in (run.payloads if run is not None else {}).items():
        path, _, what = name.rpartition(":")
        if path and what in _GIVEN:
            found.setdefault(path, {})[_GIVEN[what].replace(" ", "_")] = redaction.of(value)
    return found


def _step_lines(step: StepView, given: Mapping[str, Any], *, verbose: bool) -> Iterator[Line]:
    symbol = _SYMBOLS.get(step.status, NOTE)
    took = duration(step.duration_ms)
    yield [symbol, (f" {step.path}", "bold"), (f"  {step.worker or step.kind}  ", ""),
           (step.status, STATUS_STYLES.get(step.status, "")), (f"  {took}" if took else "", "dim")]  # fmt: skip
    yield from _named("input", given.get("input"))
    for attempt in step.tries:
        if verbose or attempt.outcome != "completed" or attempt.phase != "action":
            yield _attempt_line(attempt)
            yield from _traceback(attempt, verbose=verbose)
    yield from _named("output", step.output)
    if step.error is not None:
        yield from _named("error", one_line(error_text(step.error)))
        yield from _named("details", _plain_details(step.error.details))
    if step.compensation is not None:
        yield from _named("undo input", given.get("undo_input"))
    yield from _named("settled", settled_text(step) or None)
    yield from _named("child", f"run {step.child.run_id}, {step.child.status}" if step.child is not None else None)


def settled_text(step: StepView) -> str:
    """What a person said of it, and of its undo and confirmation."""
    undo, told = step.compensation, step.confirmation
    said = ("", step.resolved), ("its undo: ", undo and undo.resolved), ("its confirmation: ", told and told.resolved)
    return ", ".join(f"{what}{resolved}" for what, resolved in said if resolved)


def _named(name: str, value: Any) -> Iterator[Line]:
    if value is not None:
        text = value if isinstance(value, str) and name in ("error", "settled", "child") else json_text(value)
        yield [(f"    {name:<12} ", "dim"), (text, "")]


def _plain_details(details: Any) -> Any:
    """Without what has lines of its own."""
    if not isinstance(details, dict):
        return details
    return {name: value for name, value in details.items() if name != "traceback"} or None


def _attempt_line(attempt: Attempt) -> Line:
    phase = {"action": "attempt", "compensate": "undo", "verify": "verify"}.get(attempt.phase, attempt.phase)
    name = f"{phase} {attempt.number}"
    return [(f"    {name:<12} ", "dim"), *attempt_spans(attempt)]


def attempt_spans(attempt: Attempt) -> Line:
    word = attempt.word or "under way"
    style = {"completed": "green", "failed": "red", "timed out": "red", "lost": "red"}.get(word, "yellow")
    took = f" after {duration(attempt.duration_ms)}" if attempt.duration_ms is not None else ""
    where = f" at {attempt.process}" if attempt.process else ""
    error = f": {one_line(error_text(attempt.error))}" if attempt.error is not None else ""
    return [(word, style), (f"{took}{where}{error}", "")]


def _traceback(attempt: Attempt, *, verbose: bool) -> Iterator[Line]:
    details = attempt.error.details if attempt.error is not None else None
    trace = details.get("traceback") if isinstance(details, dict) else None
    if not verbose or not isinstance(trace, str):
        return
    for line in trace.rstrip().splitlines():
        yield [(f"                 {line}", "dim")]


# -- logs ---------------------------------------------------------------------------------------------
def show_logs(view: RunView, screen: Screen, *, step: str = "", log_file: str = "") -> None:
    """The last lines of each attempt, in the order in which they were asked for."""
    tries = sorted(
        ((attempt.asked_at_ms, number, each, attempt) for number, each in enumerate(view.steps)
         if is_about(each.path, step) for attempt in each.tries if attempt.claimed_at_ms),
        key=lambda row: row[:2],
    )  # fmt: skip
    if screen.format != "text":
        document = [_log_json(each, attempt) for _, _, each, attempt in tries]
        _print_json(screen, document)
        return
    silent = 0
    for _, _, each, attempt in tries:
        why = _why_unknown(attempt, log_file)
        if not attempt.log and not why:
            silent += 1
            continue
        phase = "" if attempt.phase == "action" else f" {attempt.phase}"
        title = f"{phase} #{attempt.number}  {attempt.worker}  "
        screen.data([(each.path, "bold"), (title, ""), *attempt_spans(attempt)])
        for line in attempt.log.splitlines():
            screen.data([("    ", ""), (line, _style_of_line(line))])
        if why:
            screen.data([(f"    ({why})", "dim")])
    if silent or not tries:
        kept = "no attempt has begun" if not tries else f"{silent} of {len(tries)} attempts logged nothing"
        screen.data([(f"({kept})", "dim")])


def _why_unknown(attempt: Attempt, log_file: str) -> str:
    """What of its log cannot be known here."""
    if not attempt.outcome:
        return "it is under way: what it logs comes with its end"
    if attempt.word == "lost":
        host = attempt.process.partition(":")[0]
        more = "its last moment" if attempt.log else "what it logged"
        return f"its process was lost, and {more} with it; {log_file or 'the log file'} on {host} may have more"
    return ""


def _log_json(step: StepView, attempt: Attempt) -> dict[str, Any]:
    return {
        "step": step.path, "phase": attempt.phase, "attempt": attempt.number, "worker": attempt.worker,
        "process": attempt.process, "ended": attempt.word, "asked_at_ms": attempt.asked_at_ms,
        "lines": attempt.log.splitlines(), "complete": attempt.word not in ("", "lost"),
    }


def _style_of_line(line: str) -> str:
    for level, style in (("ERROR", "red"), ("CRITICAL", "red"), ("WARNING", "yellow"), ("DEBUG", "dim")):
        if f" {level} " in line[:40]:
            return style
    return ""


