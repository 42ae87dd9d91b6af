"""What events do to a run as a whole: its status, what is held, how it ends. evolve.py has the rule."""

from __future__ import annotations

from runner.interpreter import event as ev
from runner.interpreter.evolve_step import is_to_be_confirmed, unstick
from runner.interpreter.paths import ROOT, RUN
from runner.interpreter.plan import Plan
from runner.interpreter.state import CANCEL, DRAIN, Node, Run, RunStatus, move_run


def run_started(plan: Plan, run: Run, event: ev.RunStarted) -> None:
    run.put("~input", event.input)
    if plan.definition.vars:
        run.put("~vars", dict(plan.definition.vars))
    run.add(Node(path=ROOT, started_at_ms=event.at_ms))
    run.due(ROOT)


def continued(_plan: Plan, _run: Run, _event: ev.Continued) -> None:
    """What was left over is on the agenda already."""


def request_held(_plan: Plan, run: Run, event: ev.RequestHeld) -> None:
    # In the place of a timeout that waits: the run is to end as the person asked.
    header = run.header
    header.pending, header.pending_nonce, header.pending_reason = event.verb, event.nonce, event.reason
    run.due(RUN)


def request_accepted(_plan: Plan, _run: Run, _event: ev.RequestAccepted) -> None:
    """For the record; what follows from it are events of their own."""


def request_refused(_plan: Plan, run: Run, event: ev.RequestRefused) -> None:
    header = run.header
    if header.pending == event.verb:
        header.pending_nonce = header.pending_reason = ""
        header.pending = "timeout" if header.overdue else ""
        # The whole is looked at once more: what was held may have been all that the run waited for.
        run.due(RUN)


def alert_raised(_plan: Plan, run: Run, event: ev.AlertRaised) -> None:
    run.header.alerts = (*run.header.alerts, event.message)[-20:]
    if event.overdue:
        run.header.overdue = False
        if run.header.pending == "timeout":
            run.header.pending = ""
        run.due(RUN)


def run_failing(_plan: Plan, run: Run, event: ev.RunFailing) -> None:
    run.header.error = event.error
    run.header.ending = event.ending
    run.header.pending = run.header.pending_nonce = run.header.pending_reason = ""
    run.header.overdue = False
    if run.header.provisional:
        run.header.provisional = False
        run.put("~output", None)
    move_run(run.header, RunStatus.COMPENSATING)
    run.edit(ROOT).halt = CANCEL if event.kill else DRAIN
    run.due(ROOT)
    run.due(RUN)


def root_resolved(_plan: Plan, run: Run, _event: ev.RootResolved) -> None:
    unstick(run, run.edit(ROOT), "completed")


def run_provisional(_plan: Plan, run: Run, event: ev.RunProvisional) -> None:
    run.header.provisional = True
    run.put("~output", event.output)


def news_sent(_plan: Plan, run: Run, event: ev.NewsSent) -> None:
    if event.news == "passed":
        run.header.told_pivot = True
    else:
        run.header.told_stuck = event.stuck_run


def run_decided(plan: Plan, run: Run, event: ev.RunDecided) -> None:
    run.header.decided, run.header.provisional = True, False
    run.put("~output", event.output)
    if plan.has_confirms:
        for path, node in run.nodes.items():
            if is_to_be_confirmed(plan, node):
                run.header.confirming += 1
                run.due(path)
    run.due(RUN)


def step_confirmed(_plan: Plan, run: Run, event: ev.StepConfirmed) -> None:
    node = run.edit(event.path)
    node.confirm = "skipped" if event.resolved == "skipped" else "done"
    run.header.confirming -= 1
    if event.resolved:
        unstick(run, node)
    run.due(RUN)


def run_stuck(_plan: Plan, run: Run, _event: ev.RunStuck) -> None:
    move_run(run.header, RunStatus.STUCK)


def run_finished(_plan: Plan, run: Run, event: ev.RunFinished) -> None:
    move_run(run.header, RunStatus(event.status))
    run.header.standing = event.standing
    run.header.ended_at_ms = event.at_ms
    run.header.stuck = run.header.stuck_children = ()
    run.header.pending = ""
    run.agenda.clear()
