"""sagarun: workflows in YAML, workers in Python, state in Redis, failures undone. The public names are these.

They are handed on lazily (PEP 562): whoever writes workers loads neither jinja2 nor yaml, and whoever only starts runs
loads no worker. So no module of `runner` may import a name from here; it imports from the module that owns it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runner.async_client import AsyncClient as AsyncClient
    from runner.client import Client as Client
    from runner.errors import AlreadyUndone as AlreadyUndone
    from runner.errors import BusinessError as BusinessError
    from runner.errors import NoEffectError as NoEffectError
    from runner.errors import RetryLater as RetryLater
    from runner.errors import SagarunError as SagarunError
    from runner.worker.context import Context as Context
    from runner.worker.context import current as current
    from runner.worker.registry import worker as worker
    from runner.worker.verdict import Landed as Landed
    from runner.worker.verdict import NotLanded as NotLanded
    from runner.worker.verdict import Pending as Pending

__version__ = "0.1.0"

_OWNERS = {
    "AlreadyUndone": "runner.errors",
    "AsyncClient": "runner.async_client",
    "BusinessError": "runner.errors",
    "Client": "runner.client",
    "Context": "runner.worker.context",
    "Landed": "runner.worker.verdict",
    "NoEffectError": "runner.errors",
    "NotLanded": "runner.worker.verdict",
    "Pending": "runner.worker.verdict",
    "RetryLater": "runner.errors",
    "SagarunError": "runner.errors",
    "current": "runner.worker.context",
}
# `worker` is the package of that name, which can be called: a subpackage would take the name's place on import anyway.
__all__ = ["__version__", "worker", *_OWNERS]


def __getattr__(name: str) -> Any:
    if name == "worker":
        return importlib.import_module("runner.worker")
    owner = _OWNERS.get(name)
    if owner is None:
        raise AttributeError(f"module 'runner' has no attribute {name!r}")
    return getattr(importlib.import_module(owner), name)


def __dir__() -> list[str]:
    return sorted(__all__)
