"""The input of child runs, held against the schema of the definition that they are of, before they are started."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from runner.definition.inputs import InputChecker
from runner.definition.model import Definition
from runner.errors import InputError
from runner.interpreter import event as ev
from runner.interpreter.command import StartChild
from runner.wire import ErrorRecord

KEPT = 256  # compiled schemas
SHOWN = 3  # problems of one input


class ChildInputs:
    """Knows definitions by digest through `definition_of`, and compiles each schema once."""

    def __init__(self, definition_of: Callable[[str], Definition]) -> None:
        self._definition_of = definition_of
        self._known: dict[str, tuple[InputChecker, str]] = {}

    def prepare(self, command: StartChild) -> StartChild | ev.ChildTold:
        """The start with the schema's defaults filled in, or what the parent's step is told instead."""
        started = command.started
        checker, summary = self._of(started.digest)
        try:
            value = checker.prepare(started.input)
        except InputError as error:
            listed = "; ".join(error.problems[:SHOWN])
            message = f"the input of {started.workflow} {started.version} does not fit: {listed}"
            return ev.ChildTold(
                0, started.parent_path, started.run_id, "refused",
                error=ErrorRecord("invalid_input", message=message, details={"problems": list(error.problems)}),
            )
        return StartChild(replace(started, input=value), summary)

    def _of(self, digest: str) -> tuple[InputChecker, str]:
        known = self._known.get(digest)
        if known is None:
            if len(self._known) >= KEPT:
                self._known.clear()
            definition = self._definition_of(digest)
            known = self._known[digest] = InputChecker(definition.input_schema), definition.summary
        return known
