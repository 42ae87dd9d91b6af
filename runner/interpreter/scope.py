"""What an expression can see, from the place of a step. Values are looked up when they are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

from runner.interpreter.paths import FINALLY, ROOT, RUN, child, instance, parent, static
from runner.interpreter.plan import Plan
from runner.interpreter.state import Node, Run, StepStatus
from runner.wire import ErrorRecord

_VALUES = {status: status.value for status in StepStatus}
ABSENT: Any = object()  # for `result`: there is none


class Steps(Mapping[str, Any]):
    """`steps`: by id, as seen from one place of the tree."""

    __slots__ = ("_path", "_plan", "_run")

    def __init__(self, plan: Plan, run: Run, path: str) -> None:
        self._plan, self._run, self._path = plan, run, path

    def __getitem__(self, step_id: str) -> Mapping[str, Any]:
        path = instance(self._plan.ids[step_id], self._path)
        node = self._run.nodes.get(path)
        if node is None:
            return {"status": "pending"}
        seen: dict[str, Any] = {"status": _VALUES[node.status]}
        if _shows_output(node):
            seen["output"] = self._run.payloads.get(f"{path}:output")
        if node.error is not None:
            seen["error"] = shown(node.error)
        return seen

    def output(self, step_id: str) -> Any:
        """Raises KeyError where there is none."""
        path = instance(self._plan.ids[step_id], self._path)
        if not _shows_output(self._run.nodes[path]):
            raise KeyError(path)
        return self._run.payloads.get(f"{path}:output")

    def __iter__(self) -> Iterator[str]:
        return iter(self._plan.ids)

    def __len__(self) -> int:
        return len(self._plan.ids)


def _shows_output(node: Node) -> bool:
    """An undone step's output is absent: what it says is no longer so."""
    return node.has_output and node.undo == "" and node.status is not StepStatus.COMPENSATED


def scope_at(plan: Plan, run: Run, path: str, *, result: Any = ABSENT) -> dict[str, Any]:
    """The names in scope for the step at `path`."""
    header, place = run.header, plan.steps.get(static(path))
    scope: dict[str, Any] = {
        "input": run.payloads.get("~input"),
        "steps": Steps(plan, run, path),
        "vars": run.payloads.get("~vars") or {},
        "run": {
            "id": header.run_id,
            "workflow": header.workflow,
            "version": header.version,
            "started_at": _iso(header.started_at_ms),
            "status": header.status_to_be if header.finishing else str(header.status),
        },
        "step": {"ref": f"{header.run_id}/{path}", "id": place.step.id if place and place.step else ""},
    }
    if "~" in path and (error := error_at(run, path)) is not None:
        scope["error"] = shown(error)
    if result is not ABSENT:
        scope["result"] = result
    if "#" in path:
        _add_items(plan, run, path, scope)
    return scope


@lru_cache(maxsize=4096)
def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")


def shown(error: ErrorRecord) -> dict[str, Any]:
    """An error as expressions see it: every field, for one that is left out would be absent."""
    return msgspec.structs.asdict(error)


def step_ref(run: Run, path: str) -> str:
    return f"{run.header.run_id}/{path}"


def error_at(run: Run, path: str) -> ErrorRecord | None:
    """The failure that the handler around `path` is dealing with; in finally, the run's."""
    if "~" not in path:
        return None
    in_finally = path.startswith(FINALLY)
    while path not in (ROOT, RUN):
        above = parent(path)
        if path.startswith(f"{above}~"):
            return run.nodes[above].error
        path = above
    return run.header.error if in_finally else None


def _add_items(plan: Plan, run: Run, path: str, scope: dict[str, Any]) -> None:
    while path not in (ROOT, RUN):
        above = parent(path)
        if path.startswith(f"{above}#"):
            item_name = plan.steps[above].item_name
            if item_name:  # a round has none
                scope.setdefault(item_name, run.payloads[f"{above}:items"][int(path[len(above) + 1 :])])
        path = above


def child_paths(plan: Plan, path: str) -> list[str]:
    """The paths of a sequence's children, in order."""
    return [child(path, step_id) for step_id in plan.steps[path].children]
