"""The operators of the mutation run: each makes the mistakes of one kind that an author makes, one at a time.

A mutant is a mistake that the file itself can give away. What only the author can know is none: a condition turned
round, another number in a sum, another text in a message.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import combinations
from typing import Any

from runner.definition.load import Contracts
from runner.expression.evaluate import compile_template
from tests.mutation.document import (
    CALLS,
    Mutant,
    Place,
    at,
    calls,
    named,
    put,
    references,
    renamed,
    sequences,
    spliced,
    steps,
    texts,
    without,
)

Mutants = Iterator[tuple[str, Any]]  # what was done, and the definition with it
_DEFAULT = re.compile(r"\s*\|\s*(?:default|d)\((?:'[^']*'|[^()]*)\)")
_DURATION = re.compile(r"([0-9]+)(ms|s|m|h|d)")
_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_TIMES = ("timeout", "total_timeout", "queue_timeout", "heartbeat", "initial", "max")
_OF_TYPES = (
    ("integer", 7), ("array", ["a"]), ("object", {"a": 1}), ("string", "a"),
    ("integer", "{{ 1 + 1 }}"), ("array", "{{ [1] }}"), ("string", "a {{ step.id }}"),
)  # fmt: skip
_KINDS = ("readonly", "compensatable", "pivot", "retriable")


def misspelt(word: str) -> str:
    """Two letters the other way round, where that makes another word; else one more."""
    for index in range(len(word) // 2, len(word) - 1):
        if word[index] != word[index + 1] and word[index : index + 2].isalpha():
            return word[:index] + word[index + 1] + word[index] + word[index + 2 :]
    return f"{word}x"


# -- expressions ----------------------------------------------------------------------------------------
def rename_a_reference(value: Any) -> Mutants:
    for place, text, reference in references(value):
        for index, part in enumerate(reference.path):
            if isinstance(part, str):
                word = misspelt(part)
                changed = put(value, place, spliced(text, reference, index, word))
                yield f"{named(value, place)}: {part} → {word}", changed


def refer_to_another_step(value: Any) -> Mutants:
    ids = [step["id"] for _, step in steps(value) if "id" in step]
    for place, text, reference in references(value):
        if reference.path[0] == "steps" and len(reference.path) > 1 and reference.path[1] in ids:
            here = ids.index(reference.path[1])
            other = ids[here - 1] if here else ids[here + 1]
            changed = put(value, place, spliced(text, reference, 1, other))
            yield f"{named(value, place)}: {reference.path[1]} → {other}", changed


def remove_default(value: Any) -> Mutants:
    for place, text in texts(value):
        for match in _DEFAULT.finditer(text):
            rest = text[: match.start()] + text[match.end() :]
            yield f"{named(value, place)}: without{match[0]}", put(value, place, rest)


def misspell_a_constant(value: Any) -> Mutants:
    """The text that something is compared with."""
    for place, text in texts(value):
        for match in re.finditer(r"[=!]=\s*'([^']+)'", text):
            word = misspelt(match[1])
            changed = text[: match.start(1)] + word + text[match.end(1) :]
            yield f"{named(value, place)}: '{match[1]}' → '{word}'", put(value, place, changed)


def make_when_no_condition(value: Any) -> Mutants:
    for place, text in texts(value):
        if place[-1] not in ("when", "until", "match"):
            continue
        for reference in compile_template(text).references:
            path = text[reference.offset + reference.column - 1 :][: reference.length]
            if text != f"{{{{ {path} }}}}":
                yield f"{named(value, place)}: only {path}", put(value, place, f"{{{{ {path} }}}}")
        yield f"{named(value, place)}: a text", put(value, place, "{{ 'yes' }}")
        yield f"{named(value, place)}: a number", put(value, place, "{{ 1 }}")


def compare_with_another_type(value: Any) -> Mutants:
    for place, text in texts(value):
        for match in re.finditer(r"[=!]=\s*('[^']+')", text):
            changed = text[: match.start(1)] + "1" + text[match.end(1) :]
            yield f"{named(value, place)}: {match[1]} → 1", put(value, place, changed)


# -- arguments ------------------------------------------------------------------------------------------
def drop_an_argument(value: Any) -> Mutants:
    for place, call in calls(value):
        for name in call.get("with", {}):
            yield f"{named(value, place)}: no {name}", without(value, (*place, "with", name))


def misspell_an_argument(value: Any) -> Mutants:
    for place, call in calls(value):
        for name in call.get("with", {}):
            changed = renamed(value, (*place, "with", name), misspelt(name))
            yield f"{named(value, place)}: {name} → {misspelt(name)}", changed


def swap_arguments(value: Any) -> Mutants:
    for place, call in calls(value):
        given = call.get("with", {})
        for one, other in combinations(given, 2):
            if given[one] != given[other]:
                made = put(value, (*place, "with", one), given[other])
                yield f"{named(value, place)}: {one} ↔ {other}", put(made, (*place, "with", other), given[one])


def swap_types(contracts: Contracts) -> Callable[[Any], Mutants]:
    """A value of another type than the worker takes, as a constant and as an expression."""

    def swap(value: Any) -> Mutants:
        for place, call in calls(value):
            schema = contracts.get(call["worker"], {}).get("input", {})
            for name in call.get("with", {}):
                takes = schema.get("properties", {}).get(name, {}).get("type", "object")  # else a $ref to one
                here = (*place, "with", name)
                for kind, wrong in _OF_TYPES:
                    if kind != takes:
                        yield f"{named(value, here)} = {wrong!r}", put(value, here, wrong)

    return swap


# -- going back -----------------------------------------------------------------------------------------
def drop_a_call(key: str) -> Callable[[Any], Mutants]:
    def drop(value: Any) -> Mutants:
        for place, step in steps(value):
            if isinstance(step.get(key), dict):
                yield named(value, place), without(value, (*place, key))

    return drop


def undo_with_the_same_worker(value: Any) -> Mutants:
    for place, step in steps(value):
        for key in CALLS:
            if isinstance(step.get(key), dict) and "worker" in step:
                made = put(value, (*place, key, "worker"), step["worker"])
                yield f"{named(value, place)}: {key}", put(made, (*place, key, "with"), step.get("with", {}))


def undo_reads_a_later_step(value: Any) -> Mutants:
    for place, items in sequences(value):
        for index, step in enumerate(items[:-1]):
            later = items[index + 1].get("id")
            undo = step.get("compensate")
            if later is not None and isinstance(undo, dict):
                for name in undo.get("with", {}):
                    here = (*place, index, "compensate", "with", name)
                    changed = put(value, here, f"{{{{ steps.{later}.output.{name} }}}}")
                    yield f"{step['id']}: {name} from {later}", changed


def undo_names_another_operation(value: Any) -> Mutants:
    """The undo, the verification or the confirmation is given something else than the step was given."""
    for place, step in steps(value):
        for key in CALLS:
            call = step.get(key)
            for name, given in (call.get("with", {}) if isinstance(call, dict) else {}).items():
                for other in ("{{ step.id }}", "{{ run.id }}"):
                    if given != other:
                        here = (*place, key, "with", name)
                        yield f"{named(value, here)} = {other}", put(value, here, other)


def change_the_kind(value: Any) -> Mutants:
    for place, step in steps(value):
        if "worker" in step:
            for kind in _KINDS:
                if step.get("kind") != kind:
                    yield f"{named(value, place)}: kind {step.get('kind')} → {kind}", put(value, (*place, "kind"), kind)
            if "kind" in step:
                yield f"{named(value, place)}: no kind", without(value, (*place, "kind"))


def change_on_unknown(value: Any) -> Mutants:
    for place, step in steps(value):
        if "on_unknown" in step:
            yield f"{named(value, place)}: no on_unknown", without(value, (*place, "on_unknown"))
            for other in ("compensate", "verify"):
                if step["on_unknown"] != other:
                    yield f"{named(value, place)}: {other}", put(value, (*place, "on_unknown"), other)


def drop_the_reason(value: Any) -> Mutants:
    for place, step in steps(value):
        if "reason" in step:
            yield named(value, place), without(value, (*place, "reason"))


# -- errors ---------------------------------------------------------------------------------------------
def _codes(value: Any) -> Iterator[tuple[Place, str]]:
    for place, step in steps(value):
        for index, code in enumerate(step.get("raises", ())):
            yield (*place, "raises", index), code
        for number, handler in enumerate(step.get("catch", ())):
            for index, code in enumerate(handler.get("errors", ())):
                yield (*place, "catch", number, "errors", index), code
        if isinstance(step.get("fail"), dict):
            yield (*place, "fail", "error"), step["fail"]["error"]
        if isinstance(step.get("wait_for", {}).get("on_timeout"), dict):
            yield (*place, "wait_for", "on_timeout", "fail"), step["wait_for"]["on_timeout"]["fail"]


def misspell_an_error(value: Any) -> Mutants:
    for place, code in _codes(value):
        yield f"{named(value, place)}: {misspelt(code)}", put(value, place, misspelt(code))
    for code in value.get("use", {}).get("errors", {}):
        yield f"use.errors: {misspelt(code)}", renamed(value, ("use", "errors", code), misspelt(code))


def mistake_an_error(value: Any) -> Mutants:
    """Another one of those that the file knows."""
    listed = list(value.get("use", {}).get("errors", {}))
    for place, code in _codes(value):
        if code in listed and len(listed) > 1:
            other = listed[listed.index(code) - 1]
            yield f"{named(value, place)}: {code} → {other}", put(value, place, other)


def drop_an_error(value: Any) -> Mutants:
    """Of those that a step says it may fail with. Without the whole list it may fail with those of the contract."""
    for place, step in steps(value):
        for code in step.get("raises", ()):
            others = [each for each in step["raises"] if each != code]
            yield f"{named(value, place)}: {code}", put(value, (*place, "raises"), others)


def drop_a_handler(value: Any) -> Mutants:
    for place, step in steps(value):
        for key in ("catch", "on_failure"):
            if key in step:
                yield f"{named(value, place)}: {key}", without(value, (*place, key))


# -- time -----------------------------------------------------------------------------------------------
def _durations(value: Any, place: Place = ()) -> Iterator[tuple[Place, int]]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key in ("with", "input", "set", "output"):
                continue
            match = _DURATION.fullmatch(item) if key in _TIMES and isinstance(item, str) else None
            if match:
                yield (*place, key), int(match[1]) * _MS[match[2]]
            else:
                yield from _durations(item, (*place, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _durations(item, (*place, index))


def shorten_a_time(value: Any) -> Mutants:
    for place, given in _durations(value):
        yield f"{named(value, place)} ÷ 1000", put(value, place, f"{max(given // 1000, 1)}ms")


def lengthen_a_time(value: Any) -> Mutants:
    for place, given in _durations(value):
        if given * 1000 < 3_650 * _MS["d"]:
            yield f"{named(value, place)} × 1000", put(value, place, f"{given * 1000}ms")


def forget_the_unit(value: Any) -> Mutants:
    for place, given in _durations(value):
        yield named(value, place), put(value, place, given // 1000)


# -- the flow -------------------------------------------------------------------------------------------
def reorder_steps(value: Any) -> Mutants:
    for place, items in sequences(value):
        for index in range(len(items) - 1):
            swapped = [*items[:index], items[index + 1], items[index], *items[index + 2 :]]
            what = " ↔ ".join(str(step.get("id", "?")) for step in items[index : index + 2])
            yield what, put(value, place, swapped)


def drop_a_step(value: Any) -> Mutants:
    for place, step in steps(value):
        yield str(step.get("id", place)), without(value, place)


def drop_a_condition(value: Any) -> Mutants:
    for place, step in steps(value):
        if "when" in step:
            yield named(value, place), without(value, (*place, "when"))


def repeat_an_id(value: Any) -> Mutants:
    ids = [step["id"] for _, step in steps(value) if "id" in step]
    for place, step in steps(value):
        if "id" in step and step["id"] != ids[0]:
            yield f"{step['id']} → {ids[0]}", put(value, (*place, "id"), ids[0])


# -- names ----------------------------------------------------------------------------------------------
def misspell_a_worker(value: Any) -> Mutants:
    for place, call in calls(value):
        word = misspelt(call["worker"])
        yield f"{named(value, place)}: {word}", put(value, (*place, "worker"), word)


def ask_another_worker(value: Any) -> Mutants:
    """The one that the file asks before."""
    asked = [call["worker"] for _, call in calls(value)]
    for index, (place, call) in enumerate(calls(value)):
        other = next((name for name in reversed(asked[:index]) if name != call["worker"]), None)
        if other is not None:
            yield f"{named(value, place)}: {call['worker']} → {other}", put(value, (*place, "worker"), other)


def misspell_a_key(value: Any) -> Mutants:
    for place, step in steps(value):
        for key in step:
            if key != "id":
                yield f"{named(value, place)}: {misspelt(key)}", renamed(value, (*place, key), misspelt(key))


def misspell_a_policy(value: Any) -> Mutants:
    for place in (("defaults", "retry"), ("compensation", "retry")):
        if place[0] in value and isinstance(at(value, place), str):
            yield ".".join(place), put(value, place, misspelt(at(value, place)))


def drop_a_name(value: Any) -> Mutants:
    """Of `use`, whole."""
    for section, names in value.get("use", {}).items():
        for name in names:
            yield f"{section}.{name}", without(value, ("use", section, name))


OPERATORS: Mapping[str, Callable[[Any], Mutants]] = {
    "rename a reference": rename_a_reference,
    "refer to another step": refer_to_another_step,
    "remove default()": remove_default,
    "misspell a constant in a comparison": misspell_a_constant,
    "compare with another type": compare_with_another_type,
    "make a condition none": make_when_no_condition,
    "drop an argument": drop_an_argument,
    "misspell an argument": misspell_an_argument,
    "swap arguments": swap_arguments,
    "drop a compensation": drop_a_call("compensate"),
    "drop a verification": drop_a_call("verify"),
    "drop a confirmation": drop_a_call("confirm"),
    "undo with the worker itself": undo_with_the_same_worker,
    "undo reads a later step": undo_reads_a_later_step,
    "undo names another operation": undo_names_another_operation,
    "change the kind": change_the_kind,
    "change on_unknown": change_on_unknown,
    "drop the reason": drop_the_reason,
    "misspell an error": misspell_an_error,
    "mistake an error for another": mistake_an_error,
    "drop an error": drop_an_error,
    "drop a handler": drop_a_handler,
    "shorten a time": shorten_a_time,
    "lengthen a time": lengthen_a_time,
    "forget the unit of a time": forget_the_unit,
    "reorder steps": reorder_steps,
    "drop a step": drop_a_step,
    "drop a condition": drop_a_condition,
    "repeat an id": repeat_an_id,
    "misspell a worker": misspell_a_worker,
    "ask another worker": ask_another_worker,
    "misspell a key": misspell_a_key,
    "misspell a policy": misspell_a_policy,
    "drop a name of use": drop_a_name,
}


def mutants_of(value: Any, contracts: Contracts) -> Iterator[Mutant]:
    """Every mutant of a definition. The same change comes once, under the operator that made it first."""
    known = {repr(value)}
    for operator, make in {**OPERATORS, "swap types": swap_types(contracts)}.items():
        for what, changed in make(value):
            key = repr(changed)
            if key not in known:
                known.add(key)
                yield Mutant(operator, what, changed)
