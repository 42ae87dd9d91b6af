"""The worker SDK and the worker process. Import from its modules; the package itself only stands for the decorator.

`runner.worker` is this package and, for users, the decorator `worker` too (`from runner import worker`): the import
system puts a subpackage under its name whatever the parent says, so the package is made callable instead. Nothing is
imported here before it is called.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _CallablePackage(ModuleType):
    def __call__(self, *arguments: Any, **options: Any) -> Any:
        from runner.worker.registry import worker

        return worker(*arguments, **options)


sys.modules[__name__].__class__ = _CallablePackage
