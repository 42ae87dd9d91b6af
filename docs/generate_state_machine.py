"""Writes state_machine.md from the two tables of runner/interpreter/state.py: `python docs/generate_state_machine.py`.

What a status means and what a move comes from is told here, and nothing else: a status or a move that the tables
have and this page does not explain is an error, and so is the reverse.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from runner.interpreter.state import RUN_TRANSITIONS, STEP_TRANSITIONS, TERMINAL, RunStatus, StepStatus

PAGE = Path(__file__).with_name("state_machine.md")
Status = TypeVar("Status", bound=StrEnum)

HEAD = """\
<!-- Written by docs/generate_state_machine.py from the tables in runner/interpreter/state.py. Do not edit. -->

# The states of a run and of a step

Every move that a run or a step can make is in one of two tables, and these pictures are made from them. A move that is
in no table is refused and sets the run aside: it would be a mistake of sagarun itself.
"""

RUNS = {
    RunStatus.RUNNING: "It goes forward. A rollback to a savepoint (`catch` with undo) is part of going forward.",
    RunStatus.COMPENSATING: "It goes back: what took effect, or may have, is undone, the last step first. Only its"
    " `finally` steps still go forward.",
    RunStatus.STUCK: "An operation gave up, and nothing else is left to do. A person resumes it, says how it was"
    " settled by hand, or abandons the run. Nothing is lost meanwhile.",
    RunStatus.COMPLETED: "Over. Every step that was due took effect. What a rollback on the way could not undo is"
    " listed as standing.",
    RunStatus.COMPENSATED: "Over. It failed or timed out, and every effect that can be undone is undone, each undo"
    " confirmed. Effects that have no undo are listed as standing.",
    RunStatus.CANCELLED: "Over. The same, because somebody asked for it.",
    RunStatus.ABANDONED: "Over. A person ended it, or had an undo skipped. What stands, or may stand, is listed.",
}
STEPS = {
    StepStatus.PENDING: "It has not begun.",
    StepStatus.RUNNING: "It has begun: an attempt is queued or at work, waits for the next one, or is being verified.",
    StepStatus.COMPLETED: "It took effect; or it failed, and its handler gave another way forward.",
    StepStatus.FAILED: "It failed, and surely had no effect of its own; or it was stopped because the run goes back. A"
    " block that failed may still hold steps that completed.",
    StepStatus.UNKNOWN: "It failed, and may have taken effect: it is undone like a completed one.",
    StepStatus.SKIPPED: "Its condition was false, or a person had it skipped. It has no output.",
    StepStatus.COMPENSATING: "Its undo is under way.",
    StepStatus.COMPENSATED: "Its undo is confirmed: nothing of it is left.",
    StepStatus.COMPENSATION_FAILED: "Its undo gave up. It stands until a person has it undone, or says that it stays.",
}
RUN_MOVES = {
    (RunStatus.RUNNING, RunStatus.COMPENSATING): "a failure that nothing catches, a timeout, a cancel",
    (RunStatus.RUNNING, RunStatus.STUCK): "an operation gave up",
    (RunStatus.RUNNING, RunStatus.COMPLETED): "the last step is done",
    (RunStatus.RUNNING, RunStatus.ABANDONED): "abandon, or done with an undo skipped",
    (RunStatus.COMPENSATING, RunStatus.STUCK): "an undo, or a verification, gave up",
    (RunStatus.COMPENSATING, RunStatus.COMPENSATED): "all is undone",
    (RunStatus.COMPENSATING, RunStatus.CANCELLED): "all is undone after a cancel",
    (RunStatus.COMPENSATING, RunStatus.ABANDONED): "abandon, or an undo was skipped",
    (RunStatus.STUCK, RunStatus.RUNNING): "resume or resolve, on the way forward",
    (RunStatus.STUCK, RunStatus.COMPENSATING): "resume or resolve, on the way back",
    (RunStatus.STUCK, RunStatus.ABANDONED): "abandon",
}
STEP_MOVES = {
    (StepStatus.PENDING, StepStatus.RUNNING): "its turn",
    (StepStatus.PENDING, StepStatus.SKIPPED): "its condition is false",
    (StepStatus.RUNNING, StepStatus.COMPLETED): "it took effect",
    (StepStatus.RUNNING, StepStatus.FAILED): "a definite failure, or stopped",
    (StepStatus.RUNNING, StepStatus.UNKNOWN): "it may have taken effect",
    (StepStatus.RUNNING, StepStatus.SKIPPED): "a person had it skipped",
    (StepStatus.FAILED, StepStatus.COMPENSATING): "the walk back",
    (StepStatus.FAILED, StepStatus.COMPLETED): "its handler is done",
    (StepStatus.UNKNOWN, StepStatus.COMPENSATING): "the walk back, or a catch",
    (StepStatus.UNKNOWN, StepStatus.COMPLETED): "its handler is done",
    (StepStatus.COMPLETED, StepStatus.COMPENSATING): "the walk back, or a catch",
    (StepStatus.COMPENSATING, StepStatus.COMPENSATED): "its undo is confirmed",
    (StepStatus.COMPENSATING, StepStatus.COMPENSATION_FAILED): "its undo gave up",
    (StepStatus.COMPENSATION_FAILED, StepStatus.COMPENSATING): "resume",
    (StepStatus.COMPENSATION_FAILED, StepStatus.COMPENSATED): "a person undid it",
    (StepStatus.COMPENSATED, StepStatus.COMPLETED): "its handler is done",
    (StepStatus.COMPENSATED, StepStatus.COMPENSATING): "its handler is undone",
}


def page() -> str:
    run_ends = frozenset(TERMINAL)
    step_ends = frozenset(status for status, moves in STEP_TRANSITIONS.items() if not moves)
    return "\n".join([
        HEAD,
        "## Runs\n",
        "`pending` is shown for a run that no engine has taken up yet; it has no state so far.\n",
        _diagram(RUN_TRANSITIONS, RUN_MOVES, RunStatus.RUNNING, run_ends),
        _meanings(RUN_TRANSITIONS, RUNS),
        "## Steps\n",
        "Blocks and other steps that hold steps make the same moves.\n",
        _diagram(STEP_TRANSITIONS, STEP_MOVES, StepStatus.PENDING, step_ends),
        _meanings(STEP_TRANSITIONS, STEPS),
    ])


def _diagram(
    table: Mapping[Status, frozenset[Status]], moves: Mapping[tuple[Status, Status], str],
    first: Status, ends: frozenset[Status],
) -> str:
    if set(moves) != {(here, there) for here, places in table.items() for there in places}:
        raise ValueError("the moves that are explained are not those of the table")
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {first}"]
    lines += [f"    {here} --> {there}: {cause}" for (here, there), cause in moves.items()]
    lines += [f"    {status} --> [*]" for status in table if status in ends]
    return "\n".join([*lines, "```", ""])


def _meanings(table: Mapping[Status, frozenset[Status]], meanings: Mapping[Status, str]) -> str:
    if set(table) != set(meanings):
        raise ValueError("the statuses that are explained are not those of the table")
    rows = [f"| `{status}` | {meaning} |" for status, meaning in meanings.items()]
    return "\n".join(["| status | meaning |", "|---|---|", *rows, ""])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
