"""A run's input: the schema's defaults filled in, then checked against it, every problem with its place.

Nothing is ever fetched: a reference that leaves the schema is refused, because the checker would otherwise read files
and ask the network for it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from copy import deepcopy
from math import isfinite
from typing import Any, NoReturn

import jsonschema_rs
import msgspec

from runner.errors import InputError
from runner.shown import HIDDEN

MAX_PROBLEMS = 50  # a thousand wrong lines are told by the first ones
MAX_INPUT_BYTES = 1 << 20
MARK = "x-secret"  # of a part of a schema whose values nobody is to see
MAX_DEPTH = 64  # of nesting, and of references followed for defaults
_encode_64_bits = msgspec.msgpack.Encoder().encode


class InputChecker:
    """Checks inputs against one schema; None: anything goes. Compiling costs more than checking, so keep it."""

    def __init__(self, schema: Mapping[str, Any] | None) -> None:
        self._schema = schema
        self._validator = None if schema is None else _compiled(schema)

    def prepare(self, value: Any) -> Any:
        """A copy of the input with the defaults filled in. Raises InputError with everything that is wrong."""
        prepared = _json_copy(value)
        if self._schema is not None:
            prepared = _with_defaults(self._schema, self._schema, prepared, 0)
        size = len(msgspec.json.encode(prepared))
        if size > MAX_INPUT_BYTES:
            problem = f"it has {size:,} bytes; at most {MAX_INPUT_BYTES:,} are taken"
            raise InputError([problem], wrong="is too large")
        problems = list(self._problems(prepared))
        if problems:
            raise InputError(problems)
        return prepared

    def _problems(self, value: Any) -> Iterator[str]:
        if self._validator is None:
            return
        for number, error in enumerate(self._validator.iter_errors(value)):
            if number == MAX_PROBLEMS:
                yield "… and more"
                return
            place = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in error.instance_path)
            yield f"{place.removeprefix('.')}: {error.message}" if place else error.message


def _json_copy(value: Any) -> Any:
    """The value, if JSON can say it. Encoders are no judge of that: one of them writes NaN as null."""
    with contextlib.suppress(Exception):  # whatever is wrong with it is told below
        data = msgspec.json.encode(value)
        is_flat = data.count(b"{") + data.count(b"[") < MAX_DEPTH
        # What comes back as it was is JSON: a date comes back as a text, NaN as nothing, a number as a key as a text.
        if is_flat and (copy := msgspec.json.decode(data)) == value:
            _encode_64_bits(copy)  # MessagePack has no larger numbers
            return copy
    return _checked_copy(value, "", 0)


def _checked_copy(value: Any, place: str, depth: int) -> Any:
    """The same, value by value. Raises InputError, saying where it is not."""
    if depth > MAX_DEPTH:
        raise InputError([f"it is nested more than {MAX_DEPTH} deep"], wrong="is too large")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and -(2**63) <= value < 2**64:
        return value
    if (isinstance(value, str) and _is_unicode(value)) or (isinstance(value, float) and isfinite(value)):
        return value
    if isinstance(value, list | tuple):
        return [_checked_copy(item, f"{place}[{index}]", depth + 1) for index, item in enumerate(value)]
    if isinstance(value, Mapping) and all(isinstance(key, str) and _is_unicode(key) for key in value):
        return {key: _checked_copy(item, f"{place}.{key}", depth + 1) for key, item in value.items()}
    where = place.removeprefix(".") or "it"
    raise InputError([f"{where}: {_described(value)} is not JSON"], wrong="is not JSON")


def _is_unicode(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _described(value: Any) -> str:
    if isinstance(value, float | int):
        return "a number as large as this" if isinstance(value, int) else str(value)
    if isinstance(value, str):
        return "half of a surrogate pair"
    if isinstance(value, Mapping):
        return "an object with a key that is no text"
    return f"a Python {type(value).__name__}"


def _compiled(schema: Mapping[str, Any]) -> jsonschema_rs.Draft202012Validator:
    try:
        # Messages quote what does not fit. Where anything is secret, they quote nothing.
        mask = HIDDEN if has_secrets(schema) else None
        return jsonschema_rs.Draft202012Validator(dict(schema), retriever=_refuse, validate_formats=True, mask=mask)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        problem = f"the input schema itself is wrong: {str(error).splitlines()[0]}"
        raise InputError([problem], wrong="cannot be checked") from None


def has_secrets(schema: Any) -> bool:
    """Whether anything in a schema is marked, wherever."""
    if isinstance(schema, Mapping):
        return schema.get(MARK) is True or any(map(has_secrets, schema.values()))
    return isinstance(schema, list) and any(map(has_secrets, schema))


def _refuse(uri: str) -> NoReturn:
    raise ValueError(f"{uri} is not part of the schema, and nothing is fetched")


def _with_defaults(root: Mapping[str, Any], schema: Any, value: Any, depth: int) -> Any:
    """Fills in place what `value` lacks and its schema has a default for, below objects and in lists."""
    if not isinstance(schema, Mapping) or depth > MAX_DEPTH:
        return value
    reference = schema.get("$ref")
    if isinstance(reference, str):
        value = _with_defaults(root, resolve_local(root, reference), value, depth + 1)
    if isinstance(value, dict):
        for name, below in (schema.get("properties") or {}).items():
            if name in value:
                value[name] = _with_defaults(root, below, value[name], depth + 1)
            elif isinstance(below, Mapping) and "default" in below:
                value[name] = _with_defaults(root, below, deepcopy(below["default"]), depth + 1)
    elif isinstance(value, list):
        value[:] = [_with_defaults(root, schema.get("items"), item, depth + 1) for item in value]
    return value


def resolve_local(root: Mapping[str, Any], reference: str) -> Any:
    """What a reference within the schema means; None for any other."""
    if reference == "#":
        return root
    if not reference.startswith("#/"):
        return None
    found: Any = root
    for key in reference[2:].split("/"):
        found = found.get(key.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) else None
    return found
