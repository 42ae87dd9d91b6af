"""Every exception that sagarun raises on purpose. The class docstring is the default message.

SagarunError
├── UsageError               the command line or an argument is wrong              (exit 2)
├── ConfigError              sagarun.yaml, the environment or the project is wrong (exit 2)
├── DefinitionError          a definition has problems; carries them as data       (exit 1)
├── InputError               a run's input does not fit the definition's schema    (exit 1)
│   └── SignalMisfit         nor a signal's data that of the step that waits for it (exit 1)
├── ExpressionError          an expression could not be evaluated
├── RunError
│   ├── RunNotFound          no run has this id                                    (exit 2)
│   ├── RunConflict          the idempotency key was used with another input       (exit 1)
│   ├── DuplicateRun         the key was used and on_duplicate says reject         (exit 1)
│   ├── RunLimited           as many runs as may be under way are, and on_limit says reject (exit 1)
│   └── VerbRefused          cancel, resume, resolve … does not apply now          (exit 1)
├── StoreError
│   ├── StoreUnavailable     Redis cannot be reached; what was asked may be repeated (exit 6)
│   ├── ServerRefused        the server must not be used: eviction, version, durability (exit 2)
│   └── RecordTampered       a key is missing or has the wrong type
├── ArchiveUnavailable       the archive's database cannot be reached, or does not do what it is asked (exit 6)
├── BusinessError            a worker says no: definite, never retried by `retry`
├── NoEffectError            a worker knows that nothing happened: definite, retried
│   └── RetryLater           the same, with its own delay
├── (BaseException) AlreadyUndone   the operation was undone or fenced before it ran; definite
└── (BaseException) AttemptCancelled  the attempt was asked to stop, and did; unknown
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

_DURATION = re.compile(r"^(\d+)(ms|s|m|h|d)$")
_UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def parse_duration_ms(what: str, text: str) -> int:
    """Milliseconds of a duration as definitions and workers write it. Raises ValueError, naming `what` it was for."""
    match = _DURATION.match(text)
    if match is None:
        raise ValueError(f'{what} {text!r}: a duration such as "200ms", "5s" or "2m" is needed')
    return int(match[1]) * _UNIT_MS[match[2]]


class SagarunError(Exception):
    """Something that sagarun was asked to do cannot be done."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").split("\n")[0])

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickle would call the class with `args`, the message; subclasses take other arguments, or more.
        return _revive, (type(self), self.args, vars(self))


def _revive(error_type: type[SagarunError], args: tuple[Any, ...], fields: dict[str, Any]) -> SagarunError:
    error = error_type.__new__(error_type, *args)
    vars(error).update(fields)
    return error


class UsageError(SagarunError):
    """The command cannot be understood."""


class ConfigError(SagarunError):
    """The project's configuration is wrong."""


class DefinitionError(SagarunError):
    """The definition has problems."""

    def __init__(self, problems: Sequence[Any]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class InputError(SagarunError):
    """The input does not fit the definition's schema; or, with another `wrong`, there is none that could."""

    def __init__(
        self, problems: Sequence[str], *, what: str = "the input", wrong: str = "does not fit the schema"
    ) -> None:
        self.problems = tuple(problems)
        self.headline = f"{what} {wrong}"
        super().__init__(f"{self.headline}: {'; '.join(self.problems)}")


class SignalMisfit(InputError):
    """The data of a signal does not fit the schema of any step that waits for it."""

    def __init__(self, signal: str, problems: Sequence[str] = ()) -> None:
        super().__init__(problems, what=f"the data of signal {signal}")


class ExpressionError(SagarunError):
    """An expression could not be evaluated."""


class RunError(SagarunError):
    """The run cannot do what was asked."""


class RunNotFound(RunError):
    """There is no such run. `word`: what was given instead of its id."""

    def __init__(self, message: str = "", word: str = "") -> None:
        super().__init__(message)
        self.word = word


class RunConflict(RunError):
    """The idempotency key was used before, with another input."""


class DuplicateRun(RunError):
    """The idempotency key was used before."""


class RunLimited(RunError):
    """As many runs as may be under way at once already are."""


class VerbRefused(RunError):
    """The run is not in a state in which this applies."""


class StoreError(SagarunError):
    """The store could not do what was asked."""


class StoreUnavailable(StoreError):
    """Redis cannot be reached."""


class ServerRefused(StoreError):
    """This Redis server must not be used for runs."""


class ArchiveUnavailable(SagarunError):
    """The archive's database cannot be reached; runs that are over are kept until it is there."""


class RecordTampered(StoreError):
    """A stored record is missing or has the wrong type."""


class BusinessError(SagarunError):
    """A definite no from a worker: nothing took effect, and asking again would not help.

    `code` is what definitions name under `raises` and `catch`; `details` is JSON.
    """

    def __init__(self, code: str, message: str = "", details: Any = None) -> None:
        self.code = code
        self.message = message
        self.details = details
        super().__init__(f"{code}: {message}" if message else code)


class NoEffectError(SagarunError):
    """A technical failure of which the worker knows that nothing took effect. Retried by policy."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = str(self)


class RetryLater(NoEffectError):
    """Nothing took effect; ask again after `after` (a duration such as "5s")."""

    def __init__(self, message: str = "", *, after: str) -> None:
        super().__init__(message)
        self.after_ms = parse_duration_ms("RetryLater(after=…)", after)


class AlreadyUndone(BaseException):
    """This operation was undone, or fenced by its verification, before it ran.

    A BaseException, so that a worker's `except Exception` cannot swallow it.
    """


class AttemptCancelled(BaseException):
    """This attempt was asked to stop: its deadline has passed, its run was cancelled, or its lease was lost.

    Raised by `ctx.raise_if_cancelled()`. A BaseException, as asyncio.CancelledError is, and for the same reason.
    """
