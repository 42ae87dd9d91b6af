"""Workers in the caller's own process and thread, one step at a time: for tests and for running a workflow in memory.

Nothing here can be killed, so a timeout is only seen afterwards: an attempt that took longer by the clock than it may
is reported as one that overran, whatever it returned. Leases are not extended: a step is over before one expires.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Sequence

from runner.store.ports import ClaimedTask, Completion, Store
from runner.wire import Outcome
from runner.worker.attempt import Attempt, decode_message, overrun, split_outcome
from runner.worker.context import StopSignal
from runner.worker.identity import new_process_id, process_info
from runner.worker.registry import Registry
from runner.worker.uptime import uptime_s

SLOTS = 100  # taken in one step


class InProcessWorker:
    """A worker process without a process. `clock` gives milliseconds (a virtual clock, in tests)."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        *,
        clock: Callable[[], int] | None = None,
        queues: Sequence[str] | None = None,
        slots: int = SLOTS,
        lease_ms: int = 15_000,
    ) -> None:
        self.process_id = new_process_id()
        self.queues = tuple(queues) if queues is not None else registry.queues()
        self.again_ms = 0  # of the last step: a rate held tasks back, and lets the next one through after so long
        self._store = store
        self._registry = registry
        self._slots = slots
        self._lease_ms = lease_ms
        self._clock_s = uptime_s if clock is None else (lambda: clock() / 1000)
        self._turn = 0
        self._quotas = {queue: quota for queue, quota in registry.quotas().items() if queue in self.queues}
        store.put_workers(registry.encoded_contracts())
        self._register()

    def step(self) -> int:
        """Take what waits, run it here and now, and hand it in. How many tasks were run."""
        answer = self._store.exchange(
            self.process_id, self._nonce(), queues=self.queues, quotas=self._quotas, capacity=self._slots,
            lease_ms=self._lease_ms,
        )
        self.again_ms = answer.again_ms
        if not answer.alive:
            self.process_id = new_process_id()
            self._register()
            return self.step()  # a virtual clock would skip to whatever is due next, past what waits here
        if not answer.claimed:
            return 0
        ended = [self._run(task) for task in answer.claimed]
        self._store.exchange(
            self.process_id, self._nonce(), completions=ended, quotas=self._quotas, lease_ms=self._lease_ms
        )
        return len(ended)

    def close(self) -> None:
        """A clean end."""
        self._store.retire(self.process_id)

    def _register(self) -> None:
        process = process_info(self.process_id, self.queues, started_at_ms=self._store.now_ms())
        self._store.register(process, lease_ms=self._lease_ms)

    def _nonce(self) -> str:
        self._turn += 1
        return f"{self.process_id}:{self._turn}"

    def _run(self, task: ClaimedTask) -> Completion:
        message = decode_message(task.message)
        deadline_s = self._clock_s() + message.timeout_ms / 1000
        attempt = Attempt(
            self._registry, message, task.payload, deadline_s=deadline_s, fence=task.fence, stop=StopSignal(),
            clock=self._clock_s, passing=(KeyboardInterrupt,),
            metadata={"queue": task.queue, "queued_at_ms": task.queued_at_ms, "claimed_at_ms": task.claimed_at_ms},
        )
        outcome = _run_to_end(attempt)
        if self._clock_s() > deadline_s:
            outcome = overrun(message)
        body, output = split_outcome(outcome, message.phase)
        return Completion(task.run_id, task.path, task.token, body, output=output)


def _run_to_end(attempt: Attempt) -> Outcome:
    if not attempt.is_async:
        return attempt.run()
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(attempt.run_async())
    # A loop runs in this thread already (an asynchronous test): another one needs another thread.
    found: list[Outcome] = []
    context = contextvars.copy_context()
    thread = threading.Thread(target=lambda: found.append(context.run(asyncio.run, attempt.run_async())))
    thread.start()
    thread.join()
    return found[0]
