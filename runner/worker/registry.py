"""Which functions are workers, under which names. The decorator changes nothing about the function it is put on.

Contracts are derived late (see contract.py); `Registry.contracts` derives them all and reports every worker that
cannot be one at once.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from traceback import walk_tb
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from runner.errors import ConfigError
from runner.worker.builtin import BUILTIN, BuiltinWorker
from runner.worker.quota import quotas_of, read_limits, shared_queue
from runner.worker.registered import RegisteredWorker, place_of

if TYPE_CHECKING:
    from runner.store.ports import Quota

F = TypeVar("F", bound=Callable[..., Any])

_NAME = re.compile(r"^[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_-]*)*$")
_CODE = re.compile(r"^[a-z][a-z0-9_]*$")
MAX_NAME_LENGTH = 64
# What `catch` takes for a whole class of errors, and the codes that a worker process gives itself.
RESERVED_CODES = frozenset(
    {
        "already_undone", "any", "business", "cancelled", "crash_loop", "exception", "expression_error",
        "invalid_input", "invalid_output", "no_effect", "queue_timeout", "run_timeout", "technical", "timeout",
        "unknown_worker", "worker_lost",
    }
)


class Registry:
    """Workers by name."""

    def __init__(self, workers: Iterable[RegisteredWorker] = ()) -> None:
        self._workers = {each.name: each for each in workers}

    def worker(
        self, name: str, *, queue: str | None = None, raises: Sequence[str] = (), readonly: bool = False,
        rate_limit: str | None = None, max_concurrency: int | None = None,
    ) -> Callable[[F], F]:
        """Register the function below under `name`. Tasks travel over `queue`, by default one of its own.

        raises: the codes of the BusinessErrors that it is known to raise.  readonly: it changes nothing, so there is
        never anything to undo.  rate_limit ("50/s", "/m", "/h"), max_concurrency: of all processes together.
        """
        if not isinstance(name, str):
            raise TypeError('a worker needs a name: @worker("payments.charge")')
        _check_name("worker", name)
        _check_name("queue", queue or name)
        codes = _checked_codes(name, raises)
        try:
            read_limits(rate_limit, max_concurrency)
        except ConfigError as error:
            raise ConfigError(f"worker {name!r}: {error}") from None

        def register(function: F) -> F:
            self._add(
                RegisteredWorker(name, function, queue or name, codes, readonly, rate_limit, max_concurrency)
            )
            return function

        return register

    def _add(self, added: RegisteredWorker) -> None:
        if isinstance(added.function, type) or not hasattr(added.function, "__call__"):  # noqa: B004
            raise TypeError(f"worker {added.name!r}: a function is needed, not {added.function!r}")
        if inspect.isgeneratorfunction(added.function) or inspect.isasyncgenfunction(added.function):
            raise TypeError(f"worker {added.name!r}: a generator gives many results; a worker returns one")
        present = self._workers.get(added.name)
        if present is not None and _origin(present.function) != _origin(added.function):  # a reload is not a clash
            raise ConfigError(f"two workers are named {added.name!r}: {present.location} and {added.location}")
        for other in self._workers.values():
            if other.queue == added.queue and other.name != added.name and (other.limits or added.limits):
                reason = shared_queue(added.queue, (other.name, added.name))
                raise ConfigError(f"{other.location} and {added.location}: {reason}")
        self._workers[added.name] = added

    def get(self, name: str) -> RegisteredWorker | None:
        return self._workers.get(name)

    def __iter__(self) -> Iterator[RegisteredWorker]:
        return iter(self._workers.values())

    def __len__(self) -> int:
        return len(self._workers)

    def __contains__(self, name: object) -> bool:
        return name in self._workers

    def queues(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(each.queue for each in self))

    def quotas(self) -> dict[str, Quota]:
        """By queue, of the workers that have one."""
        return quotas_of({"name": each.name, "queue": each.queue, **each.limits} for each in self)

    def contracts(self) -> dict[str, dict[str, Any]]:
        """Every worker's contract by name. Raises ConfigError with all that is wrong."""
        described, problems = {}, []
        for each in self:
            try:
                described[each.name] = each.describe()
            except ConfigError as error:
                problems.append(str(error))
        if problems:
            raise ConfigError("\n".join(problems))
        return described

    def encoded_contracts(self) -> Mapping[str, bytes]:
        """The same as JSON, as `Store.put_workers` takes them."""
        return {name: msgspec.json.encode(contract) for name, contract in self.contracts().items()}


REGISTRY = Registry(BUILTIN)  # what `@worker` fills: a process hosts what it has imported


def worker(
    name: str, *, queue: str | None = None, raises: Sequence[str] = (), readonly: bool = False,
    rate_limit: str | None = None, max_concurrency: int | None = None,
) -> Callable[[F], F]:
    """Make the function below a worker. See Registry.worker; the function itself stays as it is."""
    return REGISTRY.worker(
        name, queue=queue, raises=raises, readonly=readonly, rate_limit=rate_limit, max_concurrency=max_concurrency
    )


def load_modules(names: Sequence[str]) -> Registry:
    """Import these modules, packages with everything in them, and give the registry that they filled.

    Raises ConfigError when a module is not there, or they define no worker; what a module raises itself goes through.
    Without modules there are the workers that come with sagarun.
    """
    for name in names:
        try:
            module = _imported(name)
        except ModuleNotFoundError as error:
            if error.name is None or not (name == error.name or name.startswith(f"{error.name}.")):
                raise  # the module is there, and something that it imports is not
            raise ConfigError(f"there is no module {name!r} on the path") from error
        for found in pkgutil.walk_packages(getattr(module, "__path__", ()), f"{name}."):
            if not found.name.endswith(".__main__"):
                _imported(found.name)
    if names and all(isinstance(each, BuiltinWorker) for each in REGISTRY):
        raise ConfigError(
            f"no @worker in {', '.join(names)}\n"
            'put @worker("payments.charge") above a function there (from runner import worker)'
        )
    return REGISTRY


def _imported(name: str) -> ModuleType:
    """Raises ConfigError for a worker that cannot be one, with the line that says what it is to be."""
    try:
        return importlib.import_module(name)
    except ConfigError as error:
        at_import = [
            (frame.f_globals.get("__name__", ""), frame.f_code.co_filename, line)
            for frame, line in walk_tb(error.__traceback__) if frame.f_code.co_name == "<module>"
        ]  # fmt: skip
        place = place_of(*at_import[-1]) if at_import else name
        if place in str(error):
            raise
        raise ConfigError(f"{place}: {error}") from error


def _origin(function: Callable[..., Any]) -> tuple[str, str]:
    return getattr(function, "__module__", ""), getattr(function, "__qualname__", repr(function))


def _check_name(what: str, name: str) -> None:
    if len(name) > MAX_NAME_LENGTH or not _NAME.match(name):
        raise ConfigError(
            f'{name!r} cannot be the name of a {what}: lowercase words joined by dots, as in "payments.charge", '
            f"at most {MAX_NAME_LENGTH} characters"
        )


def _checked_codes(name: str, raises: Sequence[str]) -> tuple[str, ...]:
    if isinstance(raises, str):
        raise TypeError(f'worker {name!r}: raises is a list of codes: raises=["{raises}"]')
    for code in raises:
        if code in RESERVED_CODES:
            raise ConfigError(f"worker {name!r}: the error code {code!r} has a meaning of its own; choose another")
        if len(code) > MAX_NAME_LENGTH or not _CODE.match(code):
            raise ConfigError(f'worker {name!r}: {code!r} is no error code: lowercase words, as in "card_declined"')
    return tuple(raises)
