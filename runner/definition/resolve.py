"""From what a file says to the document that a run keeps: every name, default and `$ref` written out.

The document is a definition itself, and resolving it again changes nothing. What cannot be resolved
becomes a finding and a harmless stand-in, so that the rest of the file can still be checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.builtin import builtin_contracts
from runner.definition.bundle import Bundler
from runner.definition.children import ChildRefused, Family, has_pivot
from runner.definition.complaint import did_you_mean
from runner.definition.constructs import CONSTRUCTS, sequences
from runner.definition.duration import parse_duration
from runner.definition.finding import Finding, child, shown
from runner.definition.model import DEFAULT_TIMEOUT_MS, PATIENT, Retry
from runner.definition.problem import Problem
from runner.definition.project_file import ProjectFiles
from runner.definition.source import Source

if TYPE_CHECKING:
    from runner.definition.load import Draft

MAX_STEPS = 500
MAX_NESTING = 16
_KEPT = ("workflow", "version", "summary", "idempotency_key", "output")
_ON_UNKNOWN = {"compensatable": "compensate", "pivot": "retry", "retriable": "retry", "none": "halt"}
_CONTINUE = [{"errors": ["any"], "undo": True, "steps": []}]

Contracts = Mapping[str, Mapping[str, Any]]


class Resolver:
    """One file on its way to its document. What is wrong gathers in `findings`, and in `problems` of other files."""

    def __init__(
        self, source: Source, root: Path, folder: Path, contracts: Contracts | None, family: Family
    ) -> None:
        value: Mapping[str, Any] = source.value
        use = value.get("use", {})
        self.findings: list[Finding] = []
        self._source, self._value, self._contracts = source, value, {**builtin_contracts(), **(contracts or {})}
        self._retries: Mapping[str, Any] = use.get("retries", {})
        self._schemas: Mapping[str, Any] = use.get("schemas", {})
        self._family = family
        self.children: list[Draft] = []
        self._bundler = Bundler(ProjectFiles(root), folder, self._schemas)
        self._ids = _given_ids(value)
        self._count = 0
        self._too_many = False

    @property
    def problems(self) -> list[Problem]:
        of_children = (problem for draft in self.children for problem in draft.problems if problem.severity == "error")
        return list(dict.fromkeys((*self._bundler.problems, *of_children)))

    def document(self) -> dict[str, Any]:
        value = self._value
        self._defaults()
        document = {key: value[key] for key in value if key in _KEPT or key.startswith("x-")}
        for name, schema in self._schemas.items():
            self._bundler.bundle(schema, f"/use/schemas/{name}")
        if "input" in value:
            schema = self.data_schema(value["input"], "/input")
            if schema is not None:
                document["input"] = schema
        if value.get("use", {}).get("errors"):
            document["use"] = {"errors": value["use"]["errors"]}
        if "timeout" in value:
            document["timeout"] = self.duration(value["timeout"], "/timeout")
        if "concurrency" in value:
            document["concurrency"] = {"on_limit": "queue", **value["concurrency"]}
            document["concurrency"]["limit"] = int(value["concurrency"]["limit"])
        if "schedule" in value:
            document["schedule"] = {"timezone": "UTC", "overlap": "skip", **value["schedule"]}
        document["on_duplicate"] = value.get("on_duplicate", "return")
        document["compensation"] = {"retry": self._undo_retry}
        document["vars"] = value.get("vars", {})
        document["steps"] = self.sequence(value["steps"], "/steps", 1)
        document["finally"] = self.sequence(value.get("finally", []), "/finally", 1)
        self.findings.extend(dict.fromkeys(self._bundler.findings))
        return document

    def data_schema(self, schema: Mapping[str, Any], pointer: str) -> dict[str, Any] | None:
        """The schema with its files and names in it; None where it is not one that could be used for anything."""
        whole = self._bundler.bundle(schema, pointer)
        return None if self._bundler.findings or self._bundler.problems else whole

    def _defaults(self) -> None:
        """What steps fall back on; and each named policy, so that an unused one is checked too."""
        defaults, compensation = self._value.get("defaults", {}), self._value.get("compensation", {})
        for name, policy in self._retries.items():
            self._policy(policy, child("/use/retries", name))
        self._timeout = f"{DEFAULT_TIMEOUT_MS // 1000}s"
        if "timeout" in defaults:
            self._timeout = self.duration(defaults["timeout"], "/defaults/timeout")
        self._retry = _written(Retry())
        if "retry" in defaults:
            self._retry = self._retry_of(defaults["retry"], "/defaults/retry")
        self._undo_retry = _written(PATIENT)
        if "retry" in compensation:
            self._undo_retry = self._retry_of(compensation["retry"], "/compensation/retry")

    def sequence(self, steps: list[Any], pointer: str, level: int) -> list[dict[str, Any]]:
        if steps and level > MAX_NESTING:
            self.find("SR113", f"{pointer}/0", f"steps are nested more than {MAX_NESTING} deep")
            return []
        resolved = []
        for index, step in enumerate(steps):
            self._count += 1
            if self._count > MAX_STEPS:
                if not self._too_many:
                    self.find("SR112", child(pointer, index), f"more than {MAX_STEPS} steps")
                self._too_many = True
                break
            resolved.append(self._step(step, child(pointer, index), level))
        return resolved

    def _step(self, step: Mapping[str, Any], pointer: str, level: int) -> dict[str, Any]:
        resolved: dict[str, Any] = {"id": self._id(step, pointer)}
        resolved |= {key: step[key] for key in ("summary", "when", "set", "fail", "output") if key in step}
        if "worker" in step:
            resolved |= self._worker(step, pointer)
        if "subworkflow" in step:
            resolved |= self._subworkflow(step, pointer)
        for key, resolve in CONSTRUCTS.items():
            if key in step:
                resolved[key] = resolve(self, step[key], f"{pointer}/{key}", level)
        if "catch" in step:
            resolved["catch"] = [
                self._handler(handler, f"{pointer}/catch/{index}", level) for index, handler in enumerate(step["catch"])
            ]
        if "catch" in step and "on_failure" in step:
            self.find("SR115", f"{pointer}/on_failure", "a step has either catch or on_failure", on_key=True)
        elif step.get("on_failure") == "continue":
            resolved["catch"] = _CONTINUE
        return resolved

    def _id(self, step: Mapping[str, Any], pointer: str) -> str:
        """The given id, else one after the step's number in the file that nobody gave."""
        given: str | None = step.get("id")
        if given is not None:
            first = self._ids.setdefault(given, pointer)
            if first == "":
                self._ids[given] = pointer
            elif first != pointer:
                line = self._source.line_of(f"{first}/id")
                self.find("SR211", f"{pointer}/id", f'two steps have the id "{given}"', f"the first is in line {line}")
            return given
        derived = f"step_{self._count}"
        while derived in self._ids:
            derived += "_"
        self._ids[derived] = pointer
        return derived

    def _handler(self, handler: Mapping[str, Any], pointer: str, level: int) -> dict[str, Any]:
        resolved = {key: handler[key] for key in ("when", "output") if key in handler}
        resolved["errors"] = handler.get("errors", ["any"])
        resolved["undo"] = handler.get("undo", True)
        resolved["steps"] = self.sequence(handler.get("steps", []), f"{pointer}/steps", level + 1)
        return resolved

    def _worker(self, step: Mapping[str, Any], pointer: str) -> dict[str, Any]:
        kind = self._kind(step)
        retry = _written(PATIENT) if kind == "retriable" else self._retry
        resolved = self._call(step, pointer, retry)
        for key in ("queue_timeout", "total_timeout", "heartbeat"):
            if key in step:
                resolved[key] = self.duration(step[key], f"{pointer}/{key}")
        resolved |= {key: step[key] for key in ("raises", "reason") if key in step}
        for key in ("compensate", "verify", "confirm"):
            if isinstance(step.get(key), dict):
                resolved[key] = self._call(step[key], f"{pointer}/{key}", self._undo_retry)
        if kind == "none":
            resolved["compensate"] = "none"
        else:
            resolved["kind"] = kind
        if kind != "readonly":
            default = "verify" if "verify" in step else _ON_UNKNOWN[kind]
            resolved["on_unknown"] = step.get("on_unknown", default)
        return resolved

    def _kind(self, step: Mapping[str, Any]) -> str:
        can_undo = isinstance(step.get("compensate"), dict)
        kind = step.get("kind")
        if kind == "compensatable" or kind is None:
            is_readonly = kind is None and "compensate" not in step and self._is_readonly(step)
            return "compensatable" if can_undo else "readonly" if is_readonly else "none"
        return str(kind)

    def _is_readonly(self, step: Mapping[str, Any]) -> bool:
        """By its worker's contract; of some workers it depends on what they are given, as long as that is constant."""
        contract = self._contracts.get(step["worker"], {})
        given, when = step.get("with"), contract.get("readonly_when")
        if contract.get("readonly") or not when:
            return bool(contract.get("readonly"))
        return isinstance(given, Mapping) and all(given.get(name) in values for name, values in when.items())

    def _subworkflow(self, step: Mapping[str, Any], pointer: str) -> dict[str, Any]:
        """The step with the definition that it starts pinned; one that is not there leaves a stand-in."""
        resolved: dict[str, Any] = {"with": step.get("with", {})}
        resolved["subworkflow"] = self._pinned(step, f"{pointer}/subworkflow")
        if pointer.startswith("/finally"):
            message = "a subworkflow in finally could not be undone, nor decided: use worker steps"
            self.find("SR119", f"{pointer}/subworkflow", message, on_key=True)
        if step.get("compensate") == "none":
            hint = "leave compensate out: what a child run did is undone step by step"
            self.find("SR107", f"{pointer}/compensate", '"none" is for worker steps only', hint)
        elif "compensate" in step:
            resolved["compensate"] = self._call(step["compensate"], f"{pointer}/compensate", self._undo_retry)
        return resolved

    def _pinned(self, step: Mapping[str, Any], pointer: str) -> dict[str, Any]:
        given = step["subworkflow"]
        pinned: Mapping[str, Any] = given
        if isinstance(given, str):
            pinned = {"workflow": given, "version": step.get("version")}
        try:
            draft = self._family.draft_of(pinned["workflow"], pinned["version"])
        except ChildRefused as refused:
            self.find(refused.code, pointer, str(refused), refused.hint)
            return {"version": "0", "digest": "", "pivot": False, **{k: v for k, v in pinned.items() if v}}
        self.children.append(draft)
        child = draft.definition
        if child is None:
            return {**pinned, "version": pinned["version"] or "0", "digest": "", "pivot": False}
        if "digest" in pinned and draft.is_sound and child.digest != pinned["digest"]:
            self.find("SR117", pointer, f"the definition of {shown(child.workflow)} here is not the one that is pinned")
        return {
            "workflow": child.workflow, "version": child.version, "digest": child.digest, "pivot": has_pivot(child),
        }

    def _call(self, call: Mapping[str, Any], pointer: str, retry: dict[str, Any]) -> dict[str, Any]:
        timeout = self._timeout
        if "timeout" in call:
            timeout = self.duration(call["timeout"], f"{pointer}/timeout")
        if "retry" in call:
            retry = self._retry_of(call["retry"], f"{pointer}/retry")
        return {"worker": call["worker"], "with": call.get("with", {}), "timeout": timeout, "retry": retry}

    def _retry_of(self, choice: Any, pointer: str) -> dict[str, Any]:
        if not isinstance(choice, str):
            return self._policy(choice, pointer)
        if choice not in self._retries:
            hint = did_you_mean(choice, self._retries)
            self.find("SR212", pointer, f"no retry policy {shown(choice)} in use.retries", hint)
            return _written(Retry())
        return self._policy(self._retries[choice], child("/use/retries", choice))

    def _policy(self, policy: Mapping[str, Any], pointer: str) -> dict[str, Any]:
        written = {**_written(Retry()), **policy}
        for key in ("initial", "max"):
            written[key] = self.duration(written[key], f"{pointer}/{key}", may_be_zero=True)
        written["max_attempts"] = int(written["max_attempts"])
        written["multiplier"] = float(written["multiplier"])
        return written

    def duration(self, text: str, pointer: str, *, may_be_zero: bool = False, if_zero: str = "") -> str:
        try:
            if parse_duration(text) or may_be_zero:
                return text
            hint = "leave it out" if if_zero else "leave it out for no limit"
            self.find("SR108", pointer, if_zero or "a time limit of nothing would always be over", hint)
        except ValueError as error:
            self.find("SR108", pointer, str(error))
        return "1s"

    def find(self, code: str, pointer: str, message: str, hint: str = "", *, on_key: bool = False) -> None:
        finding = Finding(code, pointer, message, hint, on_key)
        if finding not in self.findings:  # a named policy is looked at again wherever it is used
            self.findings.append(finding)


def _written(retry: Retry) -> dict[str, Any]:
    """A policy as a definition writes it."""
    return {
        "max_attempts": retry.max_attempts,
        "backoff": retry.backoff,
        "initial": f"{retry.initial_ms}ms",
        "max": f"{retry.max_ms}ms",
        "multiplier": retry.multiplier,
        "jitter": retry.jitter,
    }


def _given_ids(value: Mapping[str, Any]) -> dict[str, str]:
    """Every id that is given anywhere, without its place: a derived one must not be any of them."""
    ids: dict[str, str] = {}
    waiting = [*value.get("steps", ()), *value.get("finally", ())]
    while waiting:
        step = waiting.pop()
        if isinstance(step.get("id"), str):
            ids[step["id"]] = ""
        for below in sequences(step):
            waiting.extend(below)
    return ids
