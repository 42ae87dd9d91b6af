"""What the checker takes for certain is so: no run of a definition without findings uses an output that is absent.

Random definitions are strewn with steps that read others; the checker says which of these must go; the rest runs, with
conditions and outcomes as they fall.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from runner.definition.load import examine_text
from runner.definition.model import Definition
from runner.errors import BusinessError
from runner.lint.linter import RULES, _findings
from runner.testing import TestRun, run_workflow

FLAGS = ("a", "b", "c")


class Author:
    """Writes one definition."""

    def __init__(self, choose: random.Random) -> None:
        self.choose = choose
        self.ids: list[str] = []
        self.readers = 0
        self.loops = 0

    def name(self) -> str:
        self.ids.append(f"s{len(self.ids)}")
        return self.ids[-1]

    def rarely(self, chance: float = 0.3) -> bool:
        return self.choose.random() < chance

    def condition(self) -> str:
        known = [f"input.{flag}" for flag in FLAGS]
        if self.ids:
            id = self.choose.choice(self.ids)
            known += [f"steps.{id}.output is defined", f"steps.{id}.status == 'completed'"]
        condition = self.choose.choice(known)
        return f"{{{{ not {condition} }}}}" if self.rarely(0.2) else f"{{{{ {condition} }}}}"

    def sequence(self, depth: int) -> list[dict[str, Any]]:
        steps: list[dict[str, Any]] = []
        for _ in range(self.choose.randint(1, 3)):
            steps.append(self.step(depth))
            if self.rarely(0.7):
                steps.append(self.reader())
        return steps

    def reader(self) -> dict[str, Any]:
        """A step that uses an output. It is the checker's affair whether it may."""
        self.readers += 1
        id = self.choose.choice(self.ids)
        step: dict[str, Any] = {"id": f"r{self.readers}", "set": {"read": f"{{{{ steps.{id}.output }}}}"}}
        if self.rarely():
            step["when"] = self.condition()
        return step

    def step(self, depth: int) -> dict[str, Any]:
        kinds = ["worker"] * 3 + ["steps", "parallel", "for_each", "repeat", "switch"] * (depth > 0)
        kind = self.choose.choice([*kinds, "fail", "wait"])
        body = getattr(self, f"_{kind}")(depth - 1)
        step = {"id": self.name(), **body}
        if self.rarely():
            step["when"] = self.condition()
        if self.rarely(0.2):
            step["output"] = {"own": 1}
        if self.rarely():
            step["catch"] = [self.handler(depth - 1) for _ in range(self.choose.randint(1, 2))]
        return step

    def handler(self, depth: int) -> dict[str, Any]:
        handler: dict[str, Any] = {"errors": [self.choose.choice(["any", "business", "no"])], "undo": self.rarely(0.5)}
        if self.rarely():
            handler["when"] = self.condition()
        if self.rarely():
            handler["output"] = {"caught": 1}
        if self.rarely(0.5):
            handler["steps"] = [{"fail": "rethrow"}] if self.rarely() else self.sequence(max(depth, 0))
        return handler

    def _worker(self, _depth: int) -> dict[str, Any]:
        return {"worker": "ask", "kind": "readonly", "retry": {"max_attempts": 1}, "raises": ["no"]}

    def _fail(self, _depth: int) -> dict[str, Any]:
        return {"fail": {"error": "no"}}

    def _wait(self, _depth: int) -> dict[str, Any]:
        return {"wait": "1s"}

    def _steps(self, depth: int) -> dict[str, Any]:
        return {"steps": self.sequence(depth)}

    def _parallel(self, depth: int) -> dict[str, Any]:
        branches = {f"b{n}": self.sequence(depth) for n in range(self.choose.randint(1, 3))}
        return {"parallel": {"branches": branches, "join": self.choose.choice(["all", "any"])}}

    def _for_each(self, depth: int) -> dict[str, Any]:
        on_failure = self.choose.choice(["fail", "collect"])
        items = [1] * self.choose.randint(0, 2)
        self.loops += 1
        return {"for_each": {"in": items, "as": f"item_{self.loops}", "on_item_failure": on_failure,
                             "max_parallel": self.choose.randint(1, 2), "steps": self.sequence(depth)}}

    def _repeat(self, depth: int) -> dict[str, Any]:
        rounds = self.choose.randint(1, 3)
        return {"repeat": {"max": rounds, "until": self.condition(), "steps": self.sequence(depth)}}

    def _switch(self, depth: int) -> dict[str, Any]:
        cases: list[dict[str, Any]] = [
            {"when": self.condition(), "steps": self.sequence(depth)} for _ in range(self.choose.randint(1, 2))
        ]
        if self.rarely(0.6):
            cases.append({"else": self.sequence(depth) if self.rarely(0.8) else []})
        return {"switch": cases}


def written(choose: random.Random) -> dict[str, Any]:
    author = Author(choose)
    document: dict[str, Any] = {"workflow": "random", "version": "1", "steps": author.sequence(3)}
    last = author.choose.choice(author.ids)
    document["output"] = {"last": f"{{{{ steps.{last}.output }}}}"}
    return document


def made_sound(document: dict[str, Any]) -> Definition:
    """The definition without everything that the checker finds an error in: a template becomes a constant."""
    for _ in range(400):
        draft = examine_text(json.dumps(document), file="a.yaml", root=Path())
        assert draft.definition is not None
        errors = [
            finding for finding in _findings(draft.definition, document, None, RULES) if finding.severity == "error"
        ]
        if not errors:
            assert draft.problems == ()
            return draft.definition
        for finding in errors:
            _mend(document, finding.pointer)
    raise AssertionError("it cannot be made sound")


def _mend(document: Any, pointer: str) -> None:
    *path, key = pointer.split("/")[1:]
    holder = document
    for part in path:
        holder = holder[int(part)] if isinstance(holder, list) else holder[part]
    if key in ("when", "until"):
        holder[key] = "{{ input.a }}"
    else:
        holder[key] = 0


def ran(definition: Definition, choose: random.Random) -> TestRun:
    def ask() -> Any:
        outcome = choose.random()
        if outcome < 0.2:
            raise BusinessError("no")
        if outcome < 0.25:
            raise RuntimeError("lost its way")
        return {"value": 1}

    return run_workflow(definition, {flag: choose.random() < 0.5 for flag in FLAGS}, workers={"ask": ask})


@settings(max_examples=30)
@given(seed=st.integers(0, 1 << 48))
def test_what_is_certain_is_there_when_it_runs(seed: int) -> None:
    choose = random.Random(seed)
    definition = made_sound(written(choose))
    for _ in range(3):
        ended = ran(definition, choose)
        broken = [
            error for event in ended.events if (error := getattr(event, "error", None)) is not None
            and error.code == "expression_error"
        ]
        assert broken == []
