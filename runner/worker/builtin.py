"""The workers that come with sagarun. Every worker process hosts them, and every definition may ask for them.

They are imported with their first task, and their contracts are published as they were exported: whoever does not use
them does not wait for them. After a change of a signature: `python -m runner.worker.builtin > schemas/builtin.json`.
"""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from runner.builtin import builtin_contracts
from runner.worker.registered import RegisteredWorker

if TYPE_CHECKING:
    from runner.worker.contract import Contract


@dataclass(frozen=True, eq=False)
class BuiltinWorker(RegisteredWorker):
    """`module` has the function, `request`, and the contract that reads its arguments.

    readonly_when: the values of an argument with which it changes nothing.
    """

    module: str = ""
    readonly_when: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def contract(self) -> Contract:
        contract: Contract = importlib.import_module(self.module).RequestContract()
        return contract

    def describe(self) -> dict[str, Any]:
        return dict(builtin_contracts()[self.name])

    def derive(self) -> dict[str, Any]:
        """The contract as the code has it, to be exported."""
        found = super().describe()
        function = importlib.import_module(self.module).request
        found |= {"doc": inspect.cleandoc(function.__doc__), "location": f"{self.module.replace('.', '/')}.py"}
        return {**found, "readonly_when": {name: list(values) for name, values in self.readonly_when.items()}}


async def _request(**arguments: Any) -> Any:
    from runner.worker.http.request import request

    return await request(**arguments)


BUILTIN = (
    BuiltinWorker(
        "http.request", _request, "http.request", ("http_not_allowed", "http_rejected"),
        module="runner.worker.http.request", readonly_when={"method": ("GET", "HEAD", "OPTIONS")},
    ),
)  # fmt: skip


def exported() -> str:
    """The text of schemas/builtin.json."""
    return json.dumps({each.name: each.derive() for each in BUILTIN}, indent=2) + "\n"


if __name__ == "__main__":
    print(exported(), end="")
