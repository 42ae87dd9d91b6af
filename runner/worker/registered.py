"""A worker as the registry keeps it: a function under a name, what is said of it, and its contract once it is asked."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from runner.errors import ConfigError

if TYPE_CHECKING:
    from runner.worker.contract import Contract


@dataclass(frozen=True, eq=False)
class RegisteredWorker:
    """A function and the name under which definitions ask for it."""

    name: str
    function: Callable[..., Any]
    queue: str
    raises: tuple[str, ...] = ()
    readonly: bool = False
    rate_limit: str | None = None
    max_concurrency: int | None = None

    @property
    def limits(self) -> dict[str, Any]:
        """Those that it has, as they are in its contract."""
        given = {"rate_limit": self.rate_limit, "max_concurrency": self.max_concurrency}
        return {name: limit for name, limit in given.items() if limit is not None}

    @cached_property
    def contract(self) -> Contract:
        """Raises ConfigError, naming the worker and where it is."""
        from runner.worker.contract import Contract

        try:
            return Contract(self.function)
        except ConfigError as error:
            raise ConfigError(f"{self.location}: worker {self.name!r}: {error}") from error

    @cached_property
    def location(self) -> str:
        """`workers/payments.py:12`, relative to where the module was imported from: the same on every machine."""
        code = getattr(inspect.unwrap(self.function), "__code__", None)
        if not isinstance(code, types.CodeType):
            return self.function.__class__.__module__
        return place_of(self.function.__module__, code.co_filename, code.co_firstlineno)

    def describe(self) -> dict[str, Any]:
        """The contract as it is published and exported (JSON)."""
        return {
            "name": self.name,
            "queue": self.queue,
            **self.limits,
            "readonly": self.readonly,
            "raises": list(self.raises),
            "input": self.contract.input_schema,
            "output": self.contract.output_schema,
            "verdict": self.contract.gives_verdicts,
            "doc": inspect.cleandoc(self.function.__doc__ or ""),
            "location": self.location,
        }


def place_of(module: str, file: str, line: int) -> str:
    """`workers/payments.py:12`, as a project knows the file of a module."""
    depth = len(module.split("."))
    path = PurePath(file)
    parts = path.parts[-(depth + 1) :] if path.name == "__init__.py" else path.parts[-depth:]
    return f"{'/'.join(parts)}:{line}"
