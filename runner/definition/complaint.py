"""What a schema violation means to the person who wrote the file. One mistake, one finding.

A validator's own messages say which keyword failed; these say what to write. Where an alternative
was meant (a call, or `none`), only what is wrong with that alternative counts; and a key that is
only misspelt is not missing as well.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from difflib import get_close_matches
from functools import lru_cache
from itertools import islice
from typing import Any

from runner.definition.finding import Finding, child, last, shown
from runner.definition.foreign import habit, word_for
from runner.definition.source import Source

_Error = Any  # jsonschema's ValidationError; its stubs allow for schemas that ours are not, such as `true`
ACTIONS = (
    "worker", "steps", "parallel", "for_each", "repeat", "switch", "wait", "wait_for", "subworkflow", "set", "fail",
)
_HOLDERS = (  # mappings
    "with", "set", "vars", "input", "use", "parallel", "for_each", "repeat", "wait_for", "concurrency", "schedule",
)
_COMPARED, _LONGEST = 500, 100  # comparing every word with every other takes quadratic time
_LONG_WORD = 8
_TYPES = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
}
_ALL_ACTIONS = f"{', '.join(ACTIONS[:-1])} and {ACTIONS[-1]}"
_EXACTLY_ONE = f"exactly one of {_ALL_ACTIONS} says"
_TYPE_OF = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}


def complaints(error: _Error, source: Source) -> Iterator[Finding]:
    """The findings for one error of jsonschema. A mistake may come twice; equal findings are one."""
    translate = _TRANSLATORS.get(str(error.validator))
    if translate is None:
        yield Finding("SR103", _pointer(error), error.message)
    else:
        yield from translate(error, source)


def closest(word: str, known: Iterable[str]) -> str:
    """What was probably meant, or nothing: a word that looks alike, or the only one that it begins."""
    words = tuple(islice(known, _COMPARED)) if len(word) <= _LONGEST else ()
    alike = _alike(word, words)[:1] or [name for name in words if len(word) > 2 and name.startswith(word)]
    return alike[0] if len(alike) == 1 else ""


@lru_cache(maxsize=64)  # of one mistake, it is asked for the hint and for the correction
def _alike(word: str, words: tuple[str, ...]) -> list[str]:
    return get_close_matches(word, words, n=4)


def slip(word: str, known: Iterable[str]) -> dict[str, Any]:
    """Of a Finding: the one word that this is a slip of the pen of, or nothing where another one is about as near.

    A slip is one letter too many, too few, wrong or in its neighbour's place; in a long word two of them.
    """
    words = tuple(islice(known, _COMPARED)) if len(word) <= _LONGEST else ()
    alike = _alike(word, words)
    far = [_edits(word, each) for each in alike]
    if not far or far[0] > (1 if len(word) < _LONG_WORD else 2) or any(other <= far[0] + 1 for other in far[1:]):
        return {}
    return {"instead": alike[0], "is_slip": True}


def _edits(one: str, other: str) -> int:
    """How many letters were added, left out, changed or swapped with their neighbour."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        before, above, row = row, before, [i]
        for j, wanted in enumerate(other, 1):
            least = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == wanted:
                least = min(least, above[j - 2] + 1)
            row.append(least)
    return row[-1]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The hint `did you mean "x"?`, or nothing."""
    meant = closest(word, known)
    return f'did you mean "{meant}"?' if meant else ""


def _pointer(error: _Error) -> str:
    pointer = ""
    for key in error.absolute_path:
        pointer = child(pointer, key)
    return pointer


def _name(pointer: str) -> str:
    """The key at a pointer, quoted; an item of a list has none."""
    key = last(pointer)
    return f'"{key}"' if key and not key.isdigit() else ""


def _unknown_keys(error: _Error) -> list[str]:
    known = error.schema.get("properties", {})
    free = [re.compile(pattern) for pattern in error.schema.get("patternProperties", {})]
    return [key for key in error.instance if key not in known and not any(pattern.search(key) for pattern in free)]


def _meant_keys(error: _Error) -> set[str]:
    """The keys that this mapping has under a misspelt name."""
    known = error.schema.get("properties", {})
    return {_meant(key, known) for key in _unknown_keys(error)}


def _meant(key: str, known: Mapping[str, Any]) -> str:
    return word_for(key, known) or closest(key, known)


def _unknown(error: _Error, _source: Source) -> Iterator[Finding]:
    pointer, known = _pointer(error), error.schema.get("properties", {})
    inside = f" in {_name(pointer)}" if _name(pointer) else f" in a {error.schema['title']}" if pointer else ""
    says_nothing = _is_step(error) and not any(action in error.instance for action in ACTIONS)
    unknown = {key: _meant(key, known) for key in _unknown_keys(error)}
    often = Counter(unknown.values())
    acts = _is_step(error) and not says_nothing  # then no other action can have been meant
    free = [name for name in known if name not in error.instance and not (acts and name in ACTIONS)]
    outside = _not_indented(error.instance, unknown)
    for key, meant in unknown.items():
        if key in outside:
            continue  # that what they belong to is empty is found on its own
        hint = f'did you mean "{meant}"?' if meant else habit(key) if _is_step(error) else ""
        hint = hint or (f"{_EXACTLY_ONE} what a step does" if says_nothing else "")
        if not meant and last(pointer) == "parallel" and isinstance(error.instance[key], list):
            hint = _WRITTEN["parallel"]
        message = f"unknown key {shown(key)}{inside}"
        found = Finding("SR102", child(pointer, key), message, hint, on_key=True, instead=meant)
        correction = slip(key, free)  # a word of another language may look like one of ours, and mean another
        is_slip = correction.get("instead") == meant and often[meant] == 1
        yield replace(found, is_slip=True) if is_slip else found


def _not_indented(given: Mapping[str, Any], unknown: Mapping[str, str]) -> set[str]:
    """The unknown keys right behind one that nothing is below: they were to be in it, and it is the one to mend."""
    found: set[str] = set()
    is_behind = False
    for key, value in given.items():
        if key in _HOLDERS and value is None:
            is_behind = True
        elif is_behind and key in unknown and (not unknown[key] or unknown[key] in given):
            found.add(key)
        else:
            is_behind = False
    return found


def _missing(error: _Error, _source: Source) -> Iterator[Finding]:
    pointer = _pointer(error)
    inside = f" in {_name(pointer)}" if _name(pointer) else ""
    for key in error.validator_value:
        is_a_branch = key == "branches" and _unknown_keys(error)
        if key not in error.instance and key not in _meant_keys(error) and not is_a_branch:
            yield Finding("SR101", pointer, f'"{key}" is missing{inside}', on_key=True)


def _dependency(error: _Error, _source: Source) -> Iterator[Finding]:
    """A key that needs another one beside it."""
    pointer, given = _pointer(error), error.instance
    if _is_step(error) and not any(action in given for action in ACTIONS):
        return  # the step does not say what it does: that is found on its own
    for key, wanted in error.validator_value.items():
        needed = wanted[0] if isinstance(wanted, list) else key  # a schema says it with an error of its own
        if key not in given or needed in given or needed in _meant_keys(error):
            continue
        if needed == "id":
            yield Finding("SR101", pointer, f'"id" is missing: a {key} step needs one')
        elif _is_step(error):
            yield Finding("SR107", child(pointer, key), f'"{key}" is for {needed} steps only', on_key=True)
        elif "else" not in given:  # a case with both is found on its own
            yield Finding("SR101", child(pointer, key), f'"{key}" needs "{needed}" beside it', on_key=True)


def _either(error: _Error, _source: Source) -> Iterator[Finding]:
    """A key that needs one of several beside it."""
    key, given = str(error.schema_path[-2]), error.instance
    if any(action in given for action in ACTIONS):  # else the step does not say what it does: found on its own
        wanted = " and ".join(branch["required"][0] for branch in error.validator_value)
        yield Finding("SR107", child(_pointer(error), key), f'"{key}" is for {wanted} steps only', on_key=True)


def _wrong_type(error: _Error, source: Source) -> Iterator[Finding]:
    pointer, wanted = _pointer(error), _TYPES[error.validator_value]
    raw = source.raw(pointer)
    hint = ""
    if wanted == "text" and isinstance(error.instance, (bool, int, float)):
        hint = _AS_TEXT.get(error.schema.get("title", ""), 'put it in quotes: "{}"').format(raw)
    elif wanted == "a whole number" and isinstance(error.instance, str) and error.instance.isdecimal():
        hint = f"without quotes: {error.instance}"
    elif wanted == "true or false" and isinstance(error.instance, str) and error.instance in _BOOLEANS:
        hint = f"write {_BOOLEANS[error.instance]}"
    elif wanted in ("a mapping", "a list"):
        hint = _WRITTEN.get(last(pointer), "")
        if last(pointer) in ("steps", "finally") and isinstance(error.instance, dict):
            hint = 'each of its items begins with "- "'
        elif wanted == "a mapping" and pointer and error.instance is None:
            hint = "indent what belongs to it"
        elif not hint and wanted == "a list" and re.fullmatch(r"\w+", str(error.instance)):
            hint = f"write [{error.instance}]" if isinstance(error.instance, str) else ""
    yield _type_finding(pointer, error.instance, wanted, hint)


def _type_finding(pointer: str, instance: Any, wanted: str, hint: str = "") -> Finding:
    is_given = "is empty" if instance is None else f"is {_TYPES[_TYPE_OF[type(instance)]]}"
    subject = "the file" if not pointer else _name(pointer) or "this item"
    return Finding("SR103", pointer, f"{subject} {is_given}; it must be {wanted}", hint)


def _alternatives(error: _Error, source: Source) -> Iterator[Finding]:
    branches: list[Mapping[str, Any]] = error.validator_value
    pointer, instance = _pointer(error), error.instance
    constants = [branch["const"] for branch in branches if "const" in branch]
    meant = _meant_branch(error)
    if all(set(branch) == {"required"} for branch in branches):
        yield from _action_findings(error) if _is_step(error) else _case_findings(error)
    elif len(constants) == len(branches):
        yield _choice_finding(pointer, instance, constants)
    elif last(pointer) == "subworkflow" and isinstance(instance, dict):  # which is how a stored definition names it
        named = next((value for value in instance.values() if isinstance(value, str)), "NAME")
        yield _type_finding(pointer, instance, "a workflow's name", f"write subworkflow: {named}")
    elif meant:
        for nested in meant:
            yield from complaints(nested, source)
    elif isinstance(instance, str) and constants:
        yield _choice_finding(pointer, instance, constants, "or a mapping", _as_call(pointer, instance))
    else:
        is_number = isinstance(instance, (int, float)) and not isinstance(instance, bool)
        times = any("duration_template" in branch.get("$ref", "") for branch in branches)
        hint = f"a unit is needed: {source.raw(pointer)}s" if is_number and times else ""
        hint = f"write {{max_attempts: {instance}}}" if is_number and last(pointer) == "retry" else hint
        yield _type_finding(pointer, instance, " or ".join(map(_branch_words, branches)), hint)


def _meant_branch(error: _Error) -> list[_Error]:
    """The errors of the alternative that was meant: the one whose type fits."""
    by_branch: dict[Any, list[_Error]] = {}
    for nested in error.context or ():
        by_branch.setdefault(nested.schema_path[0], []).append(nested)
    for errors in by_branch.values():
        if not any(not nested.relative_path and nested.validator in ("type", "const") for nested in errors):
            return errors
    return []


def _branch_words(branch: Mapping[str, Any]) -> str:
    if "const" in branch:
        return f'"{branch["const"]}"'
    return _BRANCH_WORDS.get(branch["$ref"].rpartition("/")[2], "a mapping")


def _as_call(pointer: str, instance: str) -> str:
    """How a worker's name is written where a call is meant."""
    is_name = last(pointer) == "compensate" and "." in instance and " " not in instance
    if instance == "fail":
        return "write {fail: CODE}"
    if last(pointer) == "fail":
        return "it is written {error: CODE, message: TEXT}"
    return f"write {{worker: {instance}}}" if is_name else ""


def _choice_finding(pointer: str, instance: Any, constants: list[str], more: str = "", else_: str = "") -> Finding:
    choices = ", ".join(f'"{constant}"' for constant in constants) + (f" {more}" if more else "")
    is_not = "is not one of" if len(constants) > 1 else "is not"
    hint = else_ or (did_you_mean(instance, constants) if isinstance(instance, str) else "")
    correction = slip(instance, constants) if isinstance(instance, str) else {}
    return Finding("SR104", pointer, f"{shown(instance)} {is_not} {choices}", hint, **correction)


def _action_findings(error: _Error) -> Iterator[Finding]:
    """Says `exactly one of` with the step's own keys, instead of how each alternative failed."""
    if not isinstance(error.instance, dict):
        return
    pointer = _pointer(error)
    given = [key for key in error.instance if key in ACTIONS]
    if given:
        both = " and ".join(f'"{key}"' for key in given)
        message = f"the step has {both}; {_EXACTLY_ONE} what it does"
        yield Finding("SR106", child(pointer, given[1]), message, on_key=True)
    elif not _unknown_keys(error):  # else that key is the mistake
        message = f"the step does not say what it does: one of {_ALL_ACTIONS} is needed"
        yield Finding("SR106", pointer, message)


def _case_findings(error: _Error) -> Iterator[Finding]:
    """A case of a switch has a condition, or is the one for all others."""
    pointer, given = _pointer(error), error.instance
    if not isinstance(given, dict):
        return
    if "else" in given:
        yield Finding("SR106", child(pointer, "else"), "a case has either when or else, not both", on_key=True)
    elif "steps" not in given and not _unknown_keys(error):
        yield Finding("SR101", pointer, "a case says when and steps, or, the last one, else")


def _is_step(error: _Error) -> bool:
    return bool(error.schema.get("title") == "step")


def _mismatch(error: _Error, _source: Source) -> Iterator[Finding]:
    pointer, instance, schema = _pointer(error), error.instance, error.schema
    title = str(schema.get("title", "value"))
    wanted = f"{'an' if title[0] in 'aeiouAEIOU' else 'a'} {title.lower() if title[1:].islower() else title}"
    hint = f"such as {', '.join(schema['examples'])}" if "examples" in schema else ""
    if wanted == "an expression":
        inside = _BOOLEANS.get(instance) or " ".join(re.sub(r"\{\{|\}\}", " ", instance).split())
        hint = f'write "{{{{ {inside} }}}}"' if 0 < len(inside) < 60 else hint
    elif len(instance) > 64:
        hint = "at most 64 characters"
    elif title.lower() in _NAMED and _as_name(instance):
        hint = f"write {_as_name(instance)}"
    if "propertyNames" in error.absolute_schema_path:
        yield Finding("SR105", child(pointer, instance), f"{shown(instance)} is not {wanted}", hint, on_key=True)
    else:
        yield Finding("SR105", pointer, f"{shown(instance)} is not {wanted}", hint)


def _as_name(text: str) -> str:
    """The same words as a name is written, if they can be one."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[\s.-]+", "_", text.strip()).lower()
    return words if re.fullmatch(r"[a-z][a-z0-9_]*", words) else ""


def _out_of_range(error: _Error, _source: Source) -> Iterator[Finding]:
    pointer = _pointer(error)
    wanted = _RANGES[str(error.validator)].format(error.validator_value)
    yield Finding("SR108", pointer, f"{_name(pointer) or 'this item'} must {wanted}")


_AS_TEXT = {
    "duration": "a unit is needed: {}s",
    "duration or expression": "a unit is needed: {}s",
    "expression": 'write "{{{{ {} }}}}"',
}
_BOOLEANS = {"on": "true", "yes": "true", "off": "false", "no": "false"}
_NAMED = ("name", "workflow name", "error code")
_WRITTEN = {
    "parallel": "it is written {branches: {NAME: [STEPS]}}",
    "branches": "it is written {NAME: [STEPS], …}",
    "for_each": "it is written {in: LIST, as: NAME, steps: [STEPS]}",
    "repeat": "it is written {max: NUMBER, until: CONDITION, steps: [STEPS]}",
    "switch": "it is written [{when: CONDITION, steps: [STEPS]}, …, {else: [STEPS]}]",
    "wait_for": "it is written {signal: NAME, timeout: DURATION}",
    "catch": "it is written [{errors: [CODES], steps: [STEPS]}]",
    "concurrency": "it is written {limit: NUMBER}",
    "schedule": 'it is written {cron: "0 6 * * *"}',
}
_BRANCH_WORDS = {
    "name": "a name",
    "workflow_name": "a workflow's name",
    "expression": "an expression",
    "items": "a list",
    "duration_template": "a duration",
}
_RANGES = {
    "minimum": "be at least {}",
    "maximum": "be at most {}",
    "minItems": "have at least {} item",
    "maxItems": "have at most {} items",
    "minProperties": "have at least {} member",
    "minLength": "have at least {} character",
    "maxLength": "have at most {} characters",
    "uniqueItems": "not repeat an item",
}
_TRANSLATORS: Mapping[str, Callable[[_Error, Source], Iterator[Finding]]] = {
    "additionalProperties": _unknown,
    "required": _missing,
    "dependencies": _dependency,
    "type": _wrong_type,
    "oneOf": _alternatives,
    "anyOf": _either,
    "pattern": _mismatch,
    **dict.fromkeys(_RANGES, _out_of_range),
}
