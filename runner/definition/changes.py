"""What differs between two definitions in what they do, step by step. Works on resolved documents, and only reads them.

In those, defaults and kinds are filled in and files are inlined, so that a change of `defaults.timeout` is one of every
step that it holds for, and a change that changes nothing is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal

from runner.definition.finding import MAX_SHOWN, shown

Document = Mapping[str, Any]
Kind = Literal["added", "removed", "moved", "renamed", "changed"]
_SAID = frozenset({"summary", "use", "reason"})  # for people; nothing is done otherwise because of it
_NOTES = frozenset({"title", "description", "examples", "$comment", "$schema", "$id"})
_NAMED_SCHEMAS = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_DERIVED = re.compile(r"step_\d+")
_STEPS = ("steps", "for_each", "repeat", "parallel", "switch", "catch")
_ABSENT: Any = object()
_CONTEXT = 20  # characters in front of where two long texts differ


@dataclass(frozen=True, slots=True)
class Change:
    """`step` is "" for the workflow itself; `what` is the path of the key below it, "" for the step as a whole."""

    kind: Kind
    step: str
    text: str
    what: str = ""
    before: Any = None
    after: Any = None
    is_behaviour: bool = True


@dataclass(frozen=True, slots=True)
class _Place:
    """A step where it stands. `own` is what it says, without the steps inside of it."""

    id: str
    own: Document
    around: tuple[str, str]  # the sequence it is in, under two names: one of them may change
    before: str  # the step before it there
    number: int  # how many come before it in the file


def compare(old: Document, new: Document) -> list[Change]:
    """In the order of the new definition, what is gone last."""
    changes = [change for key in sorted(old.keys() | new.keys()) for change in _of_workflow(key, old, new)]
    was, now = list(_places(old)), list(_places(new))
    pairs = _matched(was, now)
    moved = _reordered(pairs)
    known = {id(after): before for before, after in pairs}
    for place in now:
        before = known.get(id(place))
        if before is None:
            changes.append(Change("added", place.id, _introduced(place), after=place.own))
            continue
        if before.id != place.id and not (_DERIVED.fullmatch(before.id) and _DERIVED.fullmatch(place.id)):
            changes.append(Change("renamed", place.id, f"was called {before.id}", before=before.id, after=place.id))
        if id(place) in moved:
            text = f"now comes {_where(place)}, not {_where(before)}"
            changes.append(Change("moved", place.id, text, before=_where(before), after=_where(place)))
        changes += _differences(place.id, before.own, place.own)
    kept = {id(before) for before, _ in pairs}
    changes += [Change("removed", place.id, _gone(place), before=place.own) for place in was if id(place) not in kept]
    return changes


# -- the steps ---------------------------------------------------------------------------------------
def _places(document: Document) -> Iterator[_Place]:
    numbers = count()
    yield from _sequence(document["steps"], ("", ""), numbers)
    yield from _sequence(document.get("finally", ()), ("finally", "finally"), numbers)


def _sequence(steps: Sequence[Document], around: tuple[str, str], numbers: Iterator[int]) -> Iterator[_Place]:
    before = ""
    for step in steps:
        yield _Place(step["id"], _own(step), around, before, next(numbers))
        for name, inside in _inside(step):
            yield from _sequence(inside, name, numbers)
        before = step["id"]


def _own(step: Document) -> Document:
    own = {key: value for key, value in step.items() if key not in ("id", *_STEPS)}
    if "steps" in step:
        own["steps"] = {}
    for key in ("for_each", "repeat"):
        if key in step:
            own[key] = {name: value for name, value in step[key].items() if name != "steps"}
    if "parallel" in step:
        own["parallel"] = {**step["parallel"], "branches": dict.fromkeys(step["parallel"]["branches"], "a branch")}
    if "switch" in step:
        own["switch"] = [case.get("when", "else") for case in step["switch"]]
    if "catch" in step:
        own["catch"] = [{key: value for key, value in each.items() if key != "steps"} for each in step["catch"]]
    return own


def _inside(step: Document) -> Iterator[tuple[tuple[str, str], Sequence[Document]]]:
    """The sequences in a step, each by its number and by what it is for."""
    name = step["id"]
    yield (name, name), step.get("steps", ())
    for key in ("for_each", "repeat"):
        yield (name, name), step.get(key, {}).get("steps", ())
    for branch, steps in step.get("parallel", {}).get("branches", {}).items():
        yield (f"{name}.{branch}", f"{name}.{branch}"), steps
    for index, case in enumerate(step.get("switch", ())):
        when = case.get("when", "else")
        yield (f"case {index + 1} of {name}", f"{name} {when}"), case.get("steps", case.get("else", ()))
    for index, each in enumerate(step.get("catch", ())):
        yield (f"catch {index + 1} of {name}", f"{name} catches {each['errors']}"), each["steps"]


def _matched(was: list[_Place], now: list[_Place]) -> list[tuple[_Place, _Place]]:
    """Which step is which: by its id; one without, or with another, by what it says."""
    by_id = {place.id: place for place in was if not _DERIVED.fullmatch(place.id)}
    found = {id(place): by_id[place.id] for place in now if place.id in by_id}
    left = [place for place in was if not any(place is each for each in found.values())]
    for is_alike in (_says_the_same, _does_the_same):
        for place in now:
            if id(place) not in found:
                twin = next((each for each in left if is_alike(each, place)), None)
                if twin is not None:
                    found[id(place)] = twin
                    left.remove(twin)
    return [(found[id(place)], place) for place in now if id(place) in found]


def _says_the_same(one: _Place, other: _Place) -> bool:
    return bool(one.own == other.own)


def _does_the_same(one: _Place, other: _Place) -> bool:
    """Two without a name, in one place, of one kind."""
    is_derived = _DERIVED.fullmatch(one.id) and _DERIVED.fullmatch(other.id)
    return bool(is_derived and _is_around(one, other) and one.own.keys() == other.own.keys())


def _is_around(one: _Place, other: _Place) -> bool:
    return one.around[0] == other.around[0] or one.around[1] == other.around[1]


def _reordered(pairs: list[tuple[_Place, _Place]]) -> set[int]:
    """The new places of steps that are somewhere else, or in another order: as few as explain it."""
    moved = {id(now) for was, now in pairs if not _is_around(was, now)}
    sequences: dict[str, list[tuple[int, _Place]]] = {}
    for was, now in pairs:
        if id(now) not in moved:
            sequences.setdefault(now.around[0], []).append((was.number, now))
    for sequence in sequences.values():
        kept = _longest_rise([number for number, _ in sequence])
        moved |= {id(now) for index, (_, now) in enumerate(sequence) if index not in kept}
    return moved


def _longest_rise(numbers: list[int]) -> set[int]:
    """The indexes of a longest subsequence that rises."""
    best: list[list[int]] = []
    for index, number in enumerate(numbers):
        before = [chain for chain in best if numbers[chain[-1]] < number]
        best.append([*_longest(before), index])
    return set(_longest(best))


def _longest(chains: list[list[int]]) -> list[int]:
    return max(chains, key=lambda chain: len(chain), default=[])


# -- what is said of it ------------------------------------------------------------------------------
def _where(place: _Place) -> str:
    inside = f" in {place.around[0]}" if place.around[0] else ""
    return f"after {place.before}{inside}" if place.before else f"first{inside}"


def _introduced(place: _Place) -> str:
    return f"new, {_where(place)}: {_does(place.own)}"


def _gone(place: _Place) -> str:
    return f"is gone: {_does(place.own)}"


def _does(own: Document) -> str:
    undo = own.get("compensate")
    undone = f", undone by {undo['worker']}" if isinstance(undo, Mapping) else ""
    if "worker" in own:
        return f"asks {own['worker']} ({own['kind']}){undone}" if own.get("kind") else f"asks {own['worker']}{undone}"
    if "subworkflow" in own:
        return f"starts {own['subworkflow']['workflow']}{undone}"
    return next((word for word in own if word not in ("when", "output", "catch", "summary")), "nothing")


def _of_workflow(key: str, old: Document, new: Document) -> Iterator[Change]:
    if key in ("steps", "finally", "version"):
        return
    is_schema = key == "input"
    before, after = old.get(key, _ABSENT), new.get(key, _ABSENT)
    if is_schema:
        before, after = _unannotated(before), _unannotated(after)
    is_said = key in _SAID or key.startswith("x-")
    if is_schema and before == after and old.get(key) != new.get(key):
        yield Change("changed", "", "input: only what is said of it", "input", is_behaviour=False)
    if key == "compensation":
        return  # every undo has its own
    for path, one, other in _leaves((key,), before, after):
        yield _change("", path, one, other, is_behaviour=not is_said)


def _differences(step: str, old: Document, new: Document) -> Iterator[Change]:
    has_other_undo = _is_call(old.get("compensate")) != _is_call(new.get("compensate"))
    for key in [*new, *(key for key in old if key not in new)]:
        before, after = old.get(key, _ABSENT), new.get(key, _ABSENT)
        if key == "wait_for" and isinstance(before, Mapping) and isinstance(after, Mapping):
            before, after = (
                {name: _unannotated(value) if name == "schema" else value for name, value in each.items()}
                for each in (before, after)
            )
        if key in ("compensate", "verify", "confirm") and _is_call(before) != _is_call(after):
            yield _change(step, (key,), before, after)
            continue
        if key == "kind" and _ABSENT in (before, after) and has_other_undo:
            continue  # it follows from the undo, of which was told
        for path, one, other in _leaves((key,), before, after):
            yield _change(step, path, one, other, is_behaviour=key not in _SAID)


def _is_call(value: Any) -> bool:
    return isinstance(value, Mapping)


def _leaves(path: tuple[str, ...], old: Any, new: Any) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in [*new, *(key for key in old if key not in new)]:
            yield from _leaves((*path, key), old.get(key, _ABSENT), new.get(key, _ABSENT))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new) and path[-1] in ("catch", "switch"):
        for index, (one, other) in enumerate(zip(old, new, strict=True), 1):
            yield from _leaves((*path, str(index)), one, other)
    elif old is _ABSENT or new is _ABSENT or old != new or type(old) is not type(new):
        yield path, old, new


def _change(step: str, path: tuple[str, ...], before: Any, after: Any, *, is_behaviour: bool = True) -> Change:
    text = _WORDS.get(path, _in_general)(".".join(path), before, after)
    kept = (None if before is _ABSENT else before, None if after is _ABSENT else after)
    return Change("changed", step, text, ".".join(path), *kept, is_behaviour=is_behaviour)


def _in_general(path: str, before: Any, after: Any) -> str:
    if before is _ABSENT:
        return f"{path}: {_word(after)} (there was none)"
    if after is _ABSENT:
        return f"{path}: none any more (was {_word(before)})"
    return f"{path}: {' → '.join(_both(before, after))}"


def _both(before: Any, after: Any) -> tuple[str, str]:
    """Two values in words, from where they differ if they are long."""
    if isinstance(before, str) and isinstance(after, str) and max(len(before), len(after)) > MAX_SHOWN:
        pairs = enumerate(zip(before, after, strict=False))
        same = next((index for index, (one, other) in pairs if one != other), min(len(before), len(after)))
        if same > _CONTEXT:
            before, after = (f"…{text[same - _CONTEXT :]}" for text in (before, after))
    return _word(before), _word(after)


def _of_worker(_path: str, before: Any, after: Any) -> str:
    if _ABSENT in (before, after):
        return _in_general("worker", before, after)
    return f"asks {after} instead of {before}"


def _of_undo(_path: str, before: Any, after: Any) -> str:
    if _is_call(after):
        return f"is undone by {after['worker']} now; it was not undone"
    return f"is not undone any more; it was undone by {before['worker']}" if _is_call(before) else "compensate: none"


def _of_condition(_path: str, before: Any, after: Any) -> str:
    if before is _ABSENT:
        return f"is done only when {_word(after)}; it was done always"
    if after is _ABSENT:
        return f"is done always; it was done only when {_word(before)}"
    was, now = _both(before, after)
    return f"is done when {now}, not when {was}"


def _of_child(_path: str, _before: Any, _after: Any) -> str:
    return "starts a workflow whose definition has changed: compare that file as well"


def _word(value: Any) -> str:
    """Words and durations as they are; everything else as JSON."""
    is_plain = isinstance(value, str) and re.fullmatch(r"[\w.-]+", value)
    return str(value) if is_plain else shown(value)


def _unannotated(schema: Any) -> Any:
    """A JSON Schema without what is only said of it."""
    if isinstance(schema, list):
        return [_unannotated(each) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    return {
        key: {name: _unannotated(below) for name, below in value.items()}
        if key in _NAMED_SCHEMAS and isinstance(value, Mapping)
        else value if key in ("const", "enum", "default") else _unannotated(value)
        for key, value in schema.items()
        if key not in _NOTES
    }


_WORDS = {
    ("worker",): _of_worker,
    ("compensate",): _of_undo,
    ("when",): _of_condition,
    ("subworkflow", "digest"): _of_child,
}
