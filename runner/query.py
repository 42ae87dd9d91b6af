"""What runs are asked for: `workflow:order status:stuck,failed input.customer_id:CUST-7 since:1d -key:test*`. Pure.

A query is terms side by side; all of them must fit. A term is `field:value`, or `field:one,other` (either), or a word
without a field; `-` in front turns it round, quotation marks hold spaces together. Cheap terms need what a list shows;
the others need the whole run, so whoever searches looks at the cheap ones first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

from runner.definition.duration import parse_duration
from runner.errors import UsageError

STATUSES = ("pending", "running", "compensating", "stuck", "completed", "compensated", "cancelled", "abandoned")
KINDS_OF_STATUS = {  # words for several of them
    "failed": frozenset({"stuck", "compensated", "abandoned"}),
    "live": frozenset(STATUSES[:4]),
    "over": frozenset(STATUSES[4:]),
}
MAX_TERMS = 50
_TERM = re.compile(r'(?P<not>[-!])?(?:(?P<field>[A-Za-z_][\w.\[\]-]*):)?(?P<value>(?:"[^"]*"|[^\s"])+)|(?P<space>\s+)')
_PART = re.compile(r'(?:"[^"]*"|[^,"])+')
_COMPARED = re.compile(r"(>=|<=|>|<)(-?\d+(?:\.\d+)?)")


@dataclass(frozen=True, slots=True)
class Listed:
    """A run as a list has it."""

    run_id: str
    status: str
    workflow: str
    version: str
    key: str
    parent: str
    rerun_of: str
    updated_at_ms: int = 0


@dataclass(frozen=True, slots=True)
class Details:
    """What a query may ask of a run beside that, as it may be shown."""

    input: Any
    output: Any
    errors: frozenset[str]  # codes
    steps: frozenset[str]  # where it failed, is stuck or is under way
    groups: frozenset[str]  # of the error patterns that stopped it


@dataclass(frozen=True, slots=True)
class Term:
    field: str  # "": a word
    values: tuple[str, ...]
    negated: bool = False

    @property
    def is_cheap(self) -> bool:
        return self.field in _CHEAP

    def fits(self, run: Listed | Details) -> bool:
        name, _, place = self.field.partition(".")
        test = _CHEAP.get(name) or _DETAILED[name]
        return any(test(run, value, place) for value in self.values) is not self.negated


@dataclass(frozen=True, slots=True)
class Query:
    """`since_ms` and `until_ms` are bounds of when a run was created, 0: none."""

    terms: tuple[Term, ...] = ()
    since_ms: int = 0
    until_ms: int = 0
    text: str = ""

    @property
    def needs_details(self) -> bool:
        return not all(term.is_cheap for term in self.terms)

    @property
    def wants_live_only(self) -> bool:
        """Whether only runs that are not over can fit."""
        return any(
            term.field == "status" and not term.negated
            and all(value == "live" or value in KINDS_OF_STATUS["live"] for value in term.values)
            for term in self.terms
        )

    def fits_listed(self, run: Listed) -> bool:
        return all(term.fits(run) for term in self.terms if term.is_cheap)

    def fits_details(self, details: Details) -> bool:
        return all(term.fits(details) for term in self.terms if not term.is_cheap)


def parse_query(text: str, now_ms: int) -> Query:
    """Times that are durations (since:1d) are before `now_ms`. Raises UsageError, saying what is wrong and where."""
    terms: list[Term] = []
    since_ms = until_ms = 0
    for field, value, negated in _split(text):
        values = tuple(part.replace('"', "") for part in _PART.findall(value))
        if field == "changed":
            terms.append(Term(field, tuple(str(_moment(field, each, now_ms)) for each in values), negated))
            continue
        if field in ("since", "until"):
            if negated or len(values) != 1:
                raise UsageError(f"{field}: takes one time, and cannot be turned round")
            at_ms = _moment(field, values[0], now_ms)
            since_ms, until_ms = (at_ms, until_ms) if field == "since" else (since_ms, at_ms)
            continue
        terms.append(Term(field, tuple(_checked(field, each) for each in values if each), negated))
        if not terms[-1].values:
            raise UsageError(f'"{field}:" in the query {text!r} has no value')
    if len(terms) > MAX_TERMS:
        raise UsageError(f"the query has {len(terms)} terms; at most {MAX_TERMS} are taken")
    return Query(tuple(terms), since_ms, until_ms, text.strip())


def _split(text: str) -> Iterator[tuple[str, str, bool]]:
    """(field, value, turned round) of each term."""
    position = 0
    while position < len(text):
        found = _TERM.match(text, position)
        if found is None:
            rest = text[position : position + 20]
            raise UsageError(f"the query cannot be read from column {position + 1} on: {rest!r}")
        position = found.end()
        if found["space"] is not None:
            continue
        field, value = found["field"] or "", found["value"]
        if field:
            _check_field(field, text)
        elif value.endswith(":") or value == "-":
            raise UsageError(f"{value!r} in the query {text!r} has no value")
        elif value.startswith('"-') or value.startswith('"!'):  # a shell's quotes: "-status:completed"
            yield from ((each, rest, True) for each, rest, _ in _split(value.strip('"')[1:]))
            continue
        yield field, value, found["not"] is not None


def _check_field(field: str, text: str) -> None:
    name, dot, place = field.partition(".")
    if name in ("input", "output"):
        if not dot or not place:
            raise UsageError(f"{field}: says no place; write {name}.customer_id:VALUE")
        return
    if field not in FIELDS:
        meant = get_close_matches(field, FIELDS, n=1)
        hint = f'did you mean "{meant[0]}"?' if meant else f"there are {', '.join(FIELDS)}"
        raise UsageError(f'there is no field "{field}" in the query {text!r}: {hint}')


def _checked(field: str, value: str) -> str:
    if field == "status" and value not in STATUSES and value not in KINDS_OF_STATUS:
        meant = get_close_matches(value, [*STATUSES, *KINDS_OF_STATUS], n=1)
        hint = f'did you mean "{meant[0]}"?' if meant else f"there are {', '.join([*STATUSES, *KINDS_OF_STATUS])}"
        raise UsageError(f'there is no status "{value}": {hint}')
    if field.startswith(("input.", "output.")) and value[0] in "<>" and not _COMPARED.fullmatch(value):
        raise UsageError(f"{field}:{value} compares with no number; write {field}:>100")
    return value


def _moment(field: str, text: str, now_ms: int) -> int:
    try:
        return max(1, now_ms - parse_duration(text))
    except ValueError:
        pass
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1_000)  # without a zone it is this machine's time
    except (ValueError, OverflowError):
        raise UsageError(f"{field}:{text} is neither a duration (30m, 2h, 1d) nor a time (2026-11-23T10:00)") from None


# -- what a field means -------------------------------------------------------------------------------
def _like(name: str) -> Callable[[Any, str, str], bool]:
    return lambda run, value, _place: _is_like(getattr(run, name), value)


def _is_like(text: str, value: str) -> bool:
    return fnmatchcase(text, _pattern(value)) if "*" in value else text == value


def _pattern(value: str) -> str:
    return re.sub(r"[\[\]?]", lambda found: f"[{found[0]}]", value)


def _has_status(run: Listed, value: str, _place: str) -> bool:
    return run.status in KINDS_OF_STATUS.get(value, (value,))


def _begins(run: Listed, value: str, _place: str) -> bool:
    return run.run_id.startswith(value.lower())


def _changed(run: Listed, value: str, _place: str) -> bool:
    return run.updated_at_ms >= int(value)


def _relates(name: str) -> Callable[[Any, str, str], bool]:
    """`none`, `any`, or the beginning of a run's id."""

    def test(run: Any, value: str, _place: str) -> bool:
        other: str = getattr(run, name)
        return bool(other) is (value == "any") if value in ("any", "none") else other.startswith(value.lower())

    return test


def _has_word(run: Listed, value: str, _place: str) -> bool:
    wanted = value.lower()
    return run.run_id.startswith(wanted) or wanted in run.workflow.lower() or wanted in run.key.lower()


def _one_of(name: str) -> Callable[[Any, str, str], bool]:
    return lambda run, value, _place: any(_is_like(each, value) for each in getattr(run, name))


def _in_group(run: Details, value: str, _place: str) -> bool:
    return any(group.startswith(value) or group.partition(":")[2].startswith(value) for group in run.groups)


def _at(name: str) -> Callable[[Any, str, str], bool]:
    return lambda run, value, place: any(
        _is_value(each, value) for each in _found(getattr(run, name), place.split("."))
    )


def _found(value: Any, path: Sequence[str]) -> Iterator[Any]:
    """What is there; of a list whatever its items have there, or one item by its number."""
    if isinstance(value, list):
        if path and path[0].isdigit():
            yield from _found(value[int(path[0])], path[1:]) if int(path[0]) < len(value) else ()
        else:
            for item in value:
                yield from _found(item, path)
    elif not path:
        yield value
    elif isinstance(value, Mapping) and path[0] in value:
        yield from _found(value[path[0]], path[1:])


def _is_value(there: Any, value: str) -> bool:
    compared = _COMPARED.fullmatch(value)
    if compared is not None:
        return isinstance(there, int | float) and not isinstance(there, bool) and _holds(there, *compared.groups())
    if there is None or isinstance(there, bool):
        return value == {None: "null", True: "true", False: "false"}[there]
    return not isinstance(there, Mapping) and _is_like(str(there), value)


def _holds(there: float, sign: str, number: str) -> bool:
    limit = float(number)
    return {">": there > limit, ">=": there >= limit, "<": there < limit, "<=": there <= limit}[sign]


_CHEAP: dict[str, Callable[[Any, str, str], bool]] = {
    "": _has_word, "run": _begins, "workflow": _like("workflow"), "version": _like("version"), "status": _has_status,
    "key": _like("key"), "parent": _relates("parent"), "rerun_of": _relates("rerun_of"),
    "changed": _changed,
}
_DETAILED: dict[str, Callable[[Any, str, str], bool]] = {
    "error": _one_of("errors"), "step": _one_of("steps"), "pattern": _in_group, "input": _at("input"),
    "output": _at("output"),
}
FIELDS = (*filter(None, _CHEAP), "error", "step", "pattern", "input.…", "output.…", "since", "until")
