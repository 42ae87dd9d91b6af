"""What a worker may know and ask about the attempt that it is running: `ctx`.

One Context belongs to one attempt. `current()` finds it anywhere below the worker's function, also in coroutines, but
not in threads that user code starts itself (a context variable does not cross into them).
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from runner.errors import AttemptCancelled, SagarunError
from runner.wire import ErrorRecord, Phase, TaskMessage
from runner.worker.payload import MAX_DETAILS_BYTES, encode_json
from runner.worker.uptime import uptime_s

if TYPE_CHECKING:
    from runner.worker.barrier import Barrier
    from runner.worker.log_lines import LogLines

_NO_METADATA: Mapping[str, Any] = MappingProxyType({})
_current: ContextVar[Context] = ContextVar("sagarun_context")


class StopSignal:
    """Whether an attempt was asked to stop, and why ("" while it may go on). Set from another thread."""

    __slots__ = ("reason",)

    def __init__(self) -> None:
        self.reason = ""


class Context:
    """The attempt that is running. Everything but the methods is read only."""

    __slots__ = (
        "_clock", "_deadline_s", "_encode", "_fenced", "_heartbeat", "_log", "_message", "_stop", "fence", "lines",
        "metadata",
    )

    def __init__(
        self,
        message: TaskMessage,
        *,
        deadline_s: float,
        fence: int = 0,
        stop: StopSignal | None = None,
        heartbeat: Callable[[bytes], None] | None = None,
        metadata: Mapping[str, Any] = _NO_METADATA,
        clock: Callable[[], float] = uptime_s,
        encode: Callable[[Any], bytes] = encode_json,
    ) -> None:
        self.fence = fence  # grows with every attempt of a run: a service that keeps the highest can refuse late ones
        self.metadata = metadata  # how the task came here: queue, queued_at_ms, claimed_at_ms
        self.lines: LogLines | None = None  # what it has logged, where that is kept
        self._message = message
        self._deadline_s = deadline_s
        self._stop = stop or StopSignal()
        self._heartbeat = heartbeat
        self._clock = clock
        self._encode = encode
        self._fenced = False
        self._log: logging.LoggerAdapter[logging.Logger] | None = None

    def __repr__(self) -> str:
        return f"<Context {self.idempotency_key} attempt {self.attempt} of {self.max_attempts}>"

    @property
    def run_id(self) -> str:
        return self._message.run_id

    @property
    def workflow(self) -> str:
        return self._message.workflow

    @property
    def version(self) -> str:
        return self._message.version

    @property
    def worker(self) -> str:
        return self._message.worker

    @property
    def step_id(self) -> str:
        return self._message.step

    @property
    def item_path(self) -> tuple[int, ...]:
        """The positions of the loop items that this step is in, outermost first."""
        return self._message.item_path

    @property
    def phase(self) -> Phase:
        return self._message.phase

    @property
    def attempt(self) -> int:
        """1 for the first attempt of this phase."""
        return self._message.attempt

    @property
    def max_attempts(self) -> int:
        return self._message.max_attempts

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt of this phase of this operation: what to send to a service as its key."""
        return self._message.idempotency_key

    @property
    def step_ref(self) -> str:
        """Names the operation: the same in its action, its compensation and its verification."""
        return self._message.step_ref

    @property
    def fencing(self) -> bool:
        """In phase verify: this is the last question, and NotLanded must keep the action from landing later."""
        return self._message.fencing

    @property
    def cause(self) -> ErrorRecord | None:
        """Of an undo: what made it necessary."""
        return self._message.cause

    @property
    def last_details(self) -> Any:
        """What the attempt before this one said with its last heartbeat, if it is known."""
        return self._message.last_details

    @property
    def path(self) -> str:
        """The step's place in the run: lines#3/ship."""
        return self._message.path

    @property
    def traceparent(self) -> str:
        """The span of this attempt, for services that are handed it on; "" where the task carries none."""
        return self._message.traceparent

    @property
    def deadline(self) -> datetime.datetime:
        return datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=self.remaining())

    def remaining(self) -> float:
        """Seconds until the deadline, 0.0 when it has passed."""
        return max(0.0, self._deadline_s - self._clock())

    def heartbeat(self, details: Any = None) -> None:
        """Say that the attempt makes progress; `details` (JSON, at most 64 KiB) are for the next attempt."""
        data = b"" if details is None else encode_json(details)
        if len(data) > MAX_DETAILS_BYTES:
            raise ValueError(f"heartbeat details of {len(data):,} bytes; at most {MAX_DETAILS_BYTES:,} are kept")
        if self._heartbeat is not None:
            self._heartbeat(data)

    @property
    def is_cancelled(self) -> bool:
        """The attempt was asked to stop: clean up and leave, soon. What it returns after that still counts."""
        return bool(self._stop.reason)

    def raise_if_cancelled(self) -> None:
        """Raises AttemptCancelled once the attempt was asked to stop. The outcome is then unknown."""
        if self._stop.reason:
            raise AttemptCancelled(self._stop.reason)

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger whose records carry run_id, workflow, step_id, phase, attempt and worker."""
        if self._log is None:
            message = self._message
            known = {"run_id": message.run_id, "workflow": message.workflow, "step_id": message.step}
            known |= {"phase": message.phase, "attempt": str(message.attempt), "worker": message.worker}
            self._log = logging.LoggerAdapter(logging.getLogger("sagarun.worker"), known)
        return self._log

    def barrier(self, connection: Any) -> Barrier:
        """Make what follows happen once, in the transaction of `connection`. See runner.worker.barrier."""
        from runner.worker.barrier import open_barrier

        return open_barrier(self, connection)


def current() -> Context:
    """The context of the attempt that is running here. Raises SagarunError where no worker runs."""
    try:
        return _current.get()
    except LookupError:
        raise SagarunError("no worker is running here: current() is for code that a worker calls") from None


def find_current() -> Context | None:
    """The same, and None where no worker runs."""
    return _current.get(None)


def enter(context: Context) -> Token[Context]:
    """Make it the current one. The caller hands the token to `leave`."""
    return _current.set(context)


def leave(token: Token[Context]) -> None:
    _current.reset(token)


def fake_context(
    *, fence: int = 1, remaining_s: float = 30.0, stop: str = "", heartbeat: Callable[[bytes], None] | None = None,
    metadata: Mapping[str, Any] = _NO_METADATA, **fields: Any,
) -> Context:
    """A context for calling a worker in a test. `fields` are those of TaskMessage (and `step_id`); all have defaults.

    stop: why it was asked to stop, "" when it was not.  heartbeat: called with the JSON of the details.
    """
    step = fields.pop("step_id", fields.pop("step", "step"))
    known: dict[str, Any] = {"worker": "test.worker", "run_id": "testrun", "workflow": "test", "version": "0.0.0"}
    known |= {"step": step, "path": step, "phase": "action", "attempt": 1, "max_attempts": 1}
    known |= fields
    known.setdefault("timeout_ms", round(remaining_s * 1000))
    known.setdefault("step_ref", f"{known['run_id']}/{known['path']}")
    known.setdefault("idempotency_key", f"{known['step_ref']}:{known['phase']}")
    signal = StopSignal()
    signal.reason = stop
    deadline_s = uptime_s() + remaining_s
    return Context(
        TaskMessage(**known), deadline_s=deadline_s, fence=fence, stop=signal, heartbeat=heartbeat, metadata=metadata
    )
