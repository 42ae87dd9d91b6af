"""From the stored document back to the definition."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.definition.load import examine_text, load
from runner.definition.parse import digest_of, parse_document
from runner.errors import DefinitionError

GOLDEN = Path(__file__).parents[2] / "golden"


def document() -> dict[str, Any]:
    return json.loads(json.dumps(load(GOLDEN / "ok" / "everything.yaml", root=GOLDEN).document))


def test_the_digest_is_that_of_the_content_and_not_of_its_order() -> None:
    assert digest_of({"a": 1, "b": [1.5, None]}) == digest_of({"b": [1.5, None], "a": 1})
    assert digest_of({"a": 1}) != digest_of({"a": 2})
    assert digest_of({"b": 1, "a": "é"}) == hashlib.sha256('{"a":"é","b":1}'.encode()).hexdigest()


def test_every_change_of_the_meaning_changes_the_digest() -> None:
    changed = document()
    changed["steps"][0]["worker"] = "orders.other"
    assert parse_document(changed).digest != parse_document(document()).digest


@pytest.mark.parametrize("key", ["workflow", "steps", "finally", "compensation", "vars", "on_duplicate"])
def test_a_document_that_lacks_something_is_refused(key: str) -> None:
    changed = document()
    del changed[key]
    with pytest.raises(DefinitionError, match=r"error\[SR109\]: the stored definition cannot be read"):
        parse_document(changed)


@pytest.mark.parametrize("steps", [None, 5, ["x"], [{}], [{"id": "a"}], [{"id": "a", "worker": "w"}]])
def test_a_document_with_steps_of_another_kind_is_refused(steps: Any) -> None:
    with pytest.raises(DefinitionError, match="SR109"):
        parse_document({**document(), "steps": steps})


# YAML does not know JSON's way to escape the characters beyond.
texts = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=12)
names = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
templates = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
durations = st.sampled_from(["1ms", "200ms", "10s", "5m", "2h", "1d"])
retries = st.fixed_dictionaries(
    {},
    optional={
        "max_attempts": st.integers(1, 20),
        "backoff": st.sampled_from(["fixed", "linear", "exponential"]),
        "initial": durations,
        "max": durations,
        "multiplier": st.floats(1, 100),
        "jitter": st.sampled_from(["none", "full"]),
    },
)
calls = {"with": st.dictionaries(names, templates, max_size=3), "timeout": durations, "retry": retries}
call = st.fixed_dictionaries({"worker": names}, optional=calls)
shared = {
    "summary": texts,
    "output": templates,
    "when": st.just("{{ input.a }}"),
    "on_failure": st.sampled_from(["fail", "continue"]),
}


def steps_of(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    blocks = st.lists(inner, max_size=3)
    handler = st.fixed_dictionaries(
        {}, optional={"errors": st.just(["any"]), "undo": st.booleans(), "steps": blocks, "output": templates}
    )
    with_catch = {**shared, "catch": st.lists(handler, min_size=1, max_size=2)}
    del with_catch["on_failure"]
    some, when = st.lists(inner, min_size=1, max_size=3), st.just("{{ input.a }}")
    case = st.fixed_dictionaries({"when": when, "steps": blocks})
    parallel = {"join": st.sampled_from(["all", "any"]), "on_branch_failure": st.sampled_from(["drain", "cancel"])}
    loop = {
        "as": names,
        "max_parallel": st.integers(1, 9),
        "on_item_failure": st.sampled_from(["fail", "collect"]),
        "output": templates,
    }
    repeat = {"max": st.integers(1, 9), "until": when, "steps": some}
    last = st.lists(st.fixed_dictionaries({"else": blocks}), max_size=1)
    switch = st.tuples(st.lists(case, min_size=1, max_size=2), last)
    containers = {
        "steps": blocks,
        "parallel": st.fixed_dictionaries(
            {"branches": st.dictionaries(names, some, min_size=1, max_size=2)}, optional=parallel
        ),
        "for_each": st.fixed_dictionaries({"in": when | st.lists(templates), "steps": some}, optional=loop),
        "repeat": st.fixed_dictionaries(repeat, optional={"output": templates}),
        "switch": switch.map(lambda both: both[0] + both[1]),
    }
    return st.one_of(st.fixed_dictionaries({key: value}, optional=with_catch) for key, value in containers.items())


signal = {"schema": st.just({"type": "object"}), "match": st.just("{{ result }}")}
late = {**signal, "on_timeout": st.sampled_from(["continue", {"fail": "late"}])}
leaves = st.one_of(
    st.fixed_dictionaries({"set": st.dictionaries(names, templates, max_size=2)}, optional=shared),
    st.fixed_dictionaries({"fail": st.just("rethrow") | st.fixed_dictionaries({"error": names})}, optional=shared),
    st.fixed_dictionaries(
        {"worker": names},
        optional={
            **shared,
            **calls,
            "queue_timeout": durations,
            "heartbeat": durations,
            "raises": st.just(["no"]),
            "kind": st.sampled_from(["readonly", "pivot", "retriable", "compensatable"]),
            "on_unknown": st.sampled_from(["compensate", "verify", "retry", "halt"]),
            "compensate": st.just("none") | call,
            "verify": call,
            "confirm": call,
        },
    ),
    st.fixed_dictionaries({"wait": durations | st.sampled_from(["{{ input.a }}", {"until": "{{ input.a }}"}])}),
    st.fixed_dictionaries({"wait_for": st.fixed_dictionaries({"signal": names}, optional=signal)}),
    st.fixed_dictionaries({"wait_for": st.fixed_dictionaries({"signal": names, "timeout": durations}, optional=late)}),
)
steps = st.lists(st.recursive(leaves, steps_of, max_leaves=6), min_size=1, max_size=4)


def with_ids(steps: list[Any], count: list[int]) -> list[Any]:
    numbered = []
    for step in steps:
        count[0] += 1
        step = {**step, **({"id": f"s{count[0]}"} if {"worker", "wait_for"} & set(step) else {})}
        for holder, key in holders(step):
            holder[key] = with_ids(holder[key], count)
        numbered.append(step)
    return numbered


def holders(step: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    """Whatever holds a list of steps right below this one, and under which key."""
    found = [(step, "steps")] if "steps" in step else []
    found += [(step["parallel"]["branches"], name) for name in step.get("parallel", {"branches": {}})["branches"]]
    found += [(step[key], "steps") for key in ("for_each", "repeat") if key in step]
    found += [(case, key) for case in step.get("switch", ()) for key in ("steps", "else") if key in case]
    return found + [(handler, "steps") for handler in step.get("catch", ()) if "steps" in handler]


@settings(max_examples=60)
@given(steps=steps, vars=st.dictionaries(names, templates, max_size=2), output=templates)
def test_any_definition_is_its_document_again(steps: list[Any], vars: dict[str, Any], output: Any) -> None:
    value = {"workflow": "a", "version": "1", "vars": vars, "steps": with_ids(steps, [0]), "output": output}
    draft = examine_text(json.dumps(value, ensure_ascii=True), file="a.yaml", root=GOLDEN)
    assert draft.problems == ()
    assert draft.definition is not None
    stored = json.loads(json.dumps(draft.definition.document))
    assert parse_document(stored) == draft.definition
    again = examine_text(json.dumps(stored), file="a.yaml", root=GOLDEN)
    assert again.definition == draft.definition
