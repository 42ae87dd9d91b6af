"""One attempt, from the task message to its outcome. The only place where exceptions become outcomes.

Definite is what cannot have had an effect: the arguments were refused, a worker said no (BusinessError), or that
nothing happened (NoEffectError), or the barrier kept the operation out. Everything else is unknown, and so is a result
that cannot be recorded: the effect may have happened.
"""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from runner.errors import AlreadyUndone, AttemptCancelled, BusinessError, NoEffectError, RetryLater
from runner.wire import ErrorRecord, Outcome, TaskMessage
from runner.worker.context import Context, StopSignal, enter, leave
from runner.worker.log_lines import LogLines
from runner.worker.payload import MAX_TEXT_BYTES, MAX_TRACEBACK_BYTES, clip, clip_details, describe, encode_json
from runner.worker.registered import RegisteredWorker
from runner.worker.registry import Registry
from runner.worker.span import enter_span, leave_span
from runner.worker.uptime import uptime_s
from runner.worker.verdict import Landed, NotLanded, Pending

log = logging.getLogger(__name__)

decode_message = msgspec.json.Decoder(TaskMessage).decode
encode_outcome = msgspec.json.Encoder().encode
MAX_AFTER_MS = 365 * 86_400_000
_NOTHING = Outcome("failed").output


def split_outcome(outcome: Outcome, phase: str) -> tuple[bytes, bytes]:
    """Its JSON, and beside it what is to be stored where it stays: the output of an action, or nothing."""
    output = bytes(outcome.output) if phase == "action" and outcome.outcome == "completed" else b"null"
    if output == b"null":
        return encode_outcome(outcome), b""
    return encode_outcome(msgspec.structs.replace(outcome, output=_NOTHING)), output


class Attempt:
    """What is to be run. `run` and `run_async` give its outcome and raise nothing but what is in `passing`."""

    __slots__ = ("_context", "_passing", "_registered", "message", "payload")

    def __init__(
        self,
        registry: Registry,
        message: TaskMessage,
        payload: bytes,
        *,
        deadline_s: float,
        fence: int = 0,
        stop: StopSignal | None = None,
        heartbeat: Callable[[bytes], None] | None = None,
        metadata: Mapping[str, Any] | None = None,
        clock: Callable[[], float] = uptime_s,
        passing: tuple[type[BaseException], ...] = (),
    ) -> None:
        self.message = message
        self.payload = payload
        self._passing = passing
        self._registered = registry.get(message.worker)
        self._context = Context(
            message, deadline_s=deadline_s, fence=fence, stop=stop, heartbeat=heartbeat, metadata=metadata or {},
            clock=clock, encode=encode_json if self._registered is None else self._registered.contract.write,
        )

    @property
    def lines(self) -> LogLines | None:
        """What it has logged so far."""
        return self._context.lines

    @property
    def is_async(self) -> bool:
        return self._registered is not None and self._registered.contract.is_async

    def run(self) -> Outcome:
        begun = _Begun()
        ready = self._ready()
        if isinstance(ready, Outcome):
            return begun.stamp(ready)
        registered, arguments = ready
        token, span = enter(self._context), enter_span(self.message.traceparent)
        try:
            result = registered.function(**arguments)
        except self._passing:
            raise
        except BaseException as error:  # SystemExit too: a worker's sys.exit() must not end the process unseen
            return begun.stamp(self._raised(error))
        finally:
            leave_span(span)
            leave(token)
        return begun.stamp(self._returned(registered, result))

    async def run_async(self) -> Outcome:
        """The same for a coroutine function; to cancel the task that runs it is to cancel the attempt."""
        begun = _Begun()
        ready = self._ready()
        if isinstance(ready, Outcome):
            return begun.stamp(ready)
        registered, arguments = ready
        token, span = enter(self._context), enter_span(self.message.traceparent)
        try:
            result = await registered.function(**arguments)
        except self._passing:
            raise
        except BaseException as error:
            return begun.stamp(self._raised(error))
        finally:
            leave_span(span)
            leave(token)
        return begun.stamp(self._returned(registered, result))

    def _ready(self) -> tuple[RegisteredWorker, dict[str, Any]] | Outcome:
        """What to call, and with what; or why it cannot be called."""
        registered = self._registered
        if registered is None:
            return self._definite("unknown_worker", f"this process has no worker {self.message.worker!r}")
        arguments, problems = registered.contract.read(self.payload)
        if problems:
            return self._definite("invalid_input", describe(problems), {"problems": list(problems)})
        if registered.contract.context_name is not None:
            arguments[registered.contract.context_name] = self._context
        return registered, arguments

    def _returned(self, registered: RegisteredWorker, result: Any) -> Outcome:
        if asyncio.iscoroutine(result):
            result.close()
            return self._invalid("it returned a coroutine: declare the worker `async def`")
        try:
            if self.message.phase == "verify":
                return self._verdict(registered, result)
            if isinstance(result, (Landed, NotLanded, Pending)):
                return self._invalid(f"{result!r} answers a verification, and this is phase {self.message.phase}")
            return Outcome("completed", msgspec.Raw(registered.contract.write(result)))
        except Exception as error:  # any: serializers of the user's models run in here
            return self._invalid(str(error))

    def _verdict(self, registered: RegisteredWorker, result: Any) -> Outcome:
        if isinstance(result, Landed):
            return Outcome("completed", msgspec.Raw(registered.contract.write(result.output)), verdict="landed")
        if isinstance(result, NotLanded):
            return Outcome("completed", verdict="not_landed", fenced=result.fenced or self._context._fenced)
        if isinstance(result, Pending):
            return Outcome("completed", verdict="pending", after_ms=min(result.after_ms, MAX_AFTER_MS))
        return self._invalid(f"a verification returns Landed, NotLanded or Pending, not {type(result).__name__}")

    def _raised(self, error: BaseException) -> Outcome:
        if isinstance(error, BusinessError):
            return self._refused(error)
        if isinstance(error, NoEffectError):
            after_ms = min(error.after_ms, MAX_AFTER_MS) if isinstance(error, RetryLater) else 0
            return msgspec.structs.replace(self._definite("no_effect", _text_of(error)), after_ms=after_ms)
        if isinstance(error, AlreadyUndone):
            return self._definite("already_undone", _text_of(error))
        reason = self._context._stop.reason
        if isinstance(error, (AttemptCancelled, asyncio.CancelledError)) and reason:
            code = "timeout" if reason == "timeout" else "cancelled"
            return self._unknown(code, f"it was asked to stop ({reason}), and did", _trace_of(error))
        return self._unknown("exception", f"{type(error).__name__}: {_text_of(error)}", _trace_of(error))

    def _refused(self, error: BusinessError) -> Outcome:
        code = clip(str(error.code), 64)
        declared = self._registered.raises if self._registered is not None else ()
        if code not in declared and code not in self.message.raises:
            self._context.log.warning("%s raised %r, a code that it does not declare", self.message.worker, code)
        return Outcome("failed", error=self._error(code, str(error.message), clip_details(error.details), "business"))

    def _invalid(self, why: str) -> Outcome:
        return self._unknown("invalid_output", f"the result cannot be recorded: {why}")

    def _definite(self, code: str, message: str, details: Any = None) -> Outcome:
        return Outcome("failed", error=self._error(code, message, details))

    def _unknown(self, code: str, message: str, details: Any = None) -> Outcome:
        return Outcome("unknown", error=self._error(code, message, details))

    def _error(self, code: str, message: str, details: Any, kind: str = "technical") -> ErrorRecord:
        return ErrorRecord(
            code=code, kind="business" if kind == "business" else "technical", message=clip(message, MAX_TEXT_BYTES),
            details=details, step=self.message.step, attempt=self.message.attempt,
        )


def overrun(message: TaskMessage, details: Mapping[str, Any] | None = None, *, silent: bool = False) -> Outcome:
    """The outcome of an attempt that did not end, or gave no sign of life, in its time. Only of one that is over."""
    text = f"{message.worker} ran longer than its timeout of {message.timeout_ms} ms"
    if silent:
        text = f"{message.worker} sent no heartbeat for {message.heartbeat_ms} ms"
    error = ErrorRecord("timeout", message=text, details=details or None, step=message.step, attempt=message.attempt)
    return Outcome("unknown", error=error)


def never_began(message: TaskMessage) -> Outcome:
    """The outcome of an attempt that was asked to stop before its function was called."""
    text = f"{message.worker} was asked to stop before it began"
    return Outcome("failed", error=ErrorRecord("no_effect", message=text, step=message.step, attempt=message.attempt))


class _Begun:
    """When an attempt began, by this machine's clocks: for people, never for decisions."""

    __slots__ = ("_at_ms", "_counter")

    def __init__(self) -> None:
        self._at_ms = time.time_ns() // 1_000_000
        self._counter = time.perf_counter()

    def stamp(self, outcome: Outcome) -> Outcome:
        duration_ms = round((time.perf_counter() - self._counter) * 1000, 3)
        return msgspec.structs.replace(outcome, started_at_ms=self._at_ms, duration_ms=duration_ms)


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as broken:  # a __str__ of user code
        return f"(its text cannot be made: {type(broken).__name__})"


def _trace_of(error: BaseException) -> dict[str, str]:
    trace = error.__traceback__
    if trace is not None and trace.tb_next is not None:
        trace = trace.tb_next  # the frame above is ours
    text = "".join(traceback.TracebackException(type(error), error, trace).format())
    return {"traceback": clip(text, MAX_TRACEBACK_BYTES, keep_end=True)}
