"""Ask a worker as an engine would: a task message and JSON in, an outcome out, through its contract."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from runner.wire import ErrorRecord, Phase, TaskMessage
from runner.worker.attempt import Attempt
from runner.worker.registry import load_modules
from runner.worker.uptime import uptime_s
from tests.servers import PATIENCE_S

WORKERS = load_modules(["workers"])


@dataclass(frozen=True)
class Ended:
    """How an attempt ended."""

    outcome: str
    output: Any
    error: ErrorRecord | None
    verdict: str
    fenced: bool

    @property
    def code(self) -> str:
        return "" if self.error is None else self.error.code


def ask(
    worker: str, /, *, ref: str = "run/step", phase: Phase = "action", fencing: bool = False, **given: Any
) -> Ended:
    """One attempt of one phase of the operation `ref`."""
    run_id, _, path = ref.partition("/")
    message = TaskMessage(
        worker=worker,
        run_id=run_id,
        workflow="test",
        version="1.0.0",
        path=path,
        step=path,
        phase=phase,
        attempt=1,
        max_attempts=1,
        timeout_ms=round(PATIENCE_S * 1000),
        step_ref=ref,
        idempotency_key=f"{ref}:{phase}",
        fencing=fencing,
    )
    done = Attempt(WORKERS, message, json.dumps(given).encode(), deadline_s=uptime_s() + PATIENCE_S).run()
    return Ended(done.outcome, json.loads(bytes(done.output)), done.error, done.verdict, done.fenced)


def done(worker: str, /, **given: Any) -> Any:
    """The output of an attempt that must complete."""
    ended = ask(worker, **given)
    assert ended.outcome == "completed", ended.error
    return ended.output
