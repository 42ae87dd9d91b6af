"""What runs wait for that no worker does."""

from __future__ import annotations

from runner.interpreter.plan import Plan
from runner.interpreter.state import Run


def awaited_signals(run: Run, plan: Plan) -> list[str]:
    """The names of the signals that steps of the run wait for now, the longest waiting first."""
    waiting = sorted((node for node in run.nodes.values() if node.waiting), key=lambda node: node.started_at_ms)
    signals = [plan.steps[node.path].signal for node in waiting]
    return [signal.name for signal in signals if signal is not None]
