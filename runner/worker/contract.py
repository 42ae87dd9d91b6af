"""A worker's contract, read off its signature: what goes in, what comes out, and the checks of both.

Built once per worker and only when it is needed: annotations may name what is defined further down in the module, and
whoever only imports a worker does not pay for pydantic. Nested values are read tolerantly (a model decides itself what
it does with more fields than it knows); the arguments are not: a name that the function does not take is a mistake.
"""

from __future__ import annotations

import inspect
import json
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any, NotRequired

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from typing_extensions import TypedDict

from runner.errors import ConfigError
from runner.worker.context import Context
from runner.worker.payload import MAX_PAYLOAD_BYTES, Problem, clip, describe, encode_json, encode_plain
from runner.worker.verdict import Landed, NotLanded, Pending

MAX_PROBLEMS = 50
_N, _I = b"NI"
_VERDICTS = (Landed, NotLanded, Pending)


class Contract:
    """What one function takes and gives. Raises ConfigError when its signature cannot be one of a worker."""

    __slots__ = ("_read", "_result", "context_name", "gives_verdicts", "input_schema", "is_async", "output_schema")

    def __init__(self, function: Callable[..., Any]) -> None:
        signature = _resolved_signature(function)
        self.is_async = _is_async(function)
        self.context_name = _context_name(signature)
        parameters = [each for each in signature.parameters.values() if each.name != self.context_name]
        self.gives_verdicts, returned = _returned(signature.return_annotation)
        try:
            arguments = TypeAdapter[dict[str, Any]](_argument_type(parameters))
            self.input_schema = _input_schema(arguments, parameters)
            # What the adapter's own methods come to, without a frame and a dozen options on the way, for every task.
            self._read = arguments.validator.validate_json
            # None: anything that is JSON will do, and pydantic has nothing to add.
            self._result = None if returned is Any else TypeAdapter[Any](returned)
            self.output_schema = {} if self._result is None else self._result.json_schema(mode="serialization")
        except PydanticUserError as error:
            raise ConfigError(f"its annotations cannot be validated: {error.message}") from error

    def read(self, payload: bytes) -> tuple[dict[str, Any], tuple[Problem, ...]]:
        """The arguments of a call, or every problem of the payload at once."""
        if len(payload) > MAX_PAYLOAD_BYTES:
            return {}, ({"path": "", "message": f"{len(payload):,} bytes; at most {MAX_PAYLOAD_BYTES:,} are taken"},)
        try:
            if _may_hold_constants(payload):
                json.loads(payload, parse_constant=_refuse_constant)  # pydantic would take them for numbers
            arguments: dict[str, Any] = self._read(payload)
        except ValidationError as error:
            return {}, tuple(_problems(error))
        except ValueError as error:
            return {}, ({"path": "", "message": f"Invalid JSON: {error}"},)
        return arguments, ()

    def write(self, result: Any) -> bytes:
        """The JSON of a result that fits the return annotation. Raises ValueError, saying why it does not."""
        try:
            data = encode_json(result) if self._result is None else _dump(self._result, result)
        except ValidationError as error:
            raise ValueError(describe(tuple(_problems(error)))) from error
        except (TypeError, ValueError) as error:  # pydantic's serialization errors are ValueErrors
            raise ValueError(str(error)) from error
        if len(data) > MAX_PAYLOAD_BYTES:
            raise ValueError(f"it has {len(data):,} bytes; at most {MAX_PAYLOAD_BYTES:,} are taken")
        return data


def _may_hold_constants(data: bytes) -> bool:
    """NaN or Infinity, as a number or within a text. A byte is found ten times as fast as a word."""
    return (_N in data and b"NaN" in data) or (_I in data and b"Infinity" in data)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number in JSON")


def _resolved_signature(function: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(function, eval_str=True)
    except NameError:
        # Context is often imported for type checkers only; its name is known here all the same.
        try:
            return inspect.signature(function, eval_str=True, locals={"Context": Context})
        except NameError as error:
            raise ConfigError(
                f"the annotation {error.name!r} is not known at run time: define or import it at the top of the module"
            ) from error


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004


def _context_name(signature: inspect.Signature) -> str | None:
    names = [each.name for each in signature.parameters.values() if _is_context(each.annotation)]
    if len(names) > 1:
        raise ConfigError(f"{' and '.join(names)} are both annotated Context: one is enough")
    unmarked = signature.parameters.get("ctx")
    if not names and unmarked is not None and unmarked.annotation is inspect.Parameter.empty:
        raise ConfigError("ctx has no annotation: write `ctx: Context`, or it is taken for an argument")
    return names[0] if names else None


def _is_context(annotation: Any) -> bool:
    if isinstance(annotation, type):
        return issubclass(annotation, Context)
    return any(_is_context(part) for part in typing.get_args(annotation) if _is_union(annotation))


def _is_union(annotation: Any) -> bool:
    return typing.get_origin(annotation) in (typing.Union, types.UnionType)


def _argument_type(parameters: list[inspect.Parameter]) -> Any:
    """A TypedDict with one key a parameter: unlike a model it allows every name, `schema` and `copy` too."""
    fields: dict[str, Any] = {}
    extra: dict[str, Any] = {"closed": True}
    for each in parameters:
        annotation = Any if each.annotation is inspect.Parameter.empty else each.annotation
        if each.kind is inspect.Parameter.VAR_KEYWORD:
            extra = {"extra_items": annotation}
        elif each.kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL):
            raise ConfigError(f"{each} cannot be given by name, and a worker's arguments come by name")
        else:
            fields[each.name] = annotation if each.default is inspect.Parameter.empty else NotRequired[annotation]
    return TypedDict("Arguments", fields, **extra)  # type: ignore[operator]


def _input_schema(adapter: TypeAdapter[Any], parameters: list[inspect.Parameter]) -> dict[str, Any]:
    schema = adapter.json_schema(mode="validation")
    for each in parameters:
        if each.default is inspect.Parameter.empty:
            continue
        try:
            schema["properties"][each.name]["default"] = json.loads(encode_json(each.default))
        except (TypeError, ValueError):
            continue  # a default that is no JSON is the function's own affair; the argument stays optional
    return schema


def _returned(annotation: Any) -> tuple[bool, Any]:
    """(it answers a verification, the type of the output)."""
    if annotation is inspect.Signature.empty:
        return False, Any
    parts = typing.get_args(annotation) if _is_union(annotation) else (annotation,)
    verdicts = [part for part in parts if (typing.get_origin(part) or part) in _VERDICTS]
    if not verdicts:
        return False, annotation
    if len(verdicts) < len(parts):
        raise ConfigError(f"it returns either verdicts (Landed, NotLanded, Pending) or a result, not {annotation}")
    outputs = [typing.get_args(part) for part in verdicts if (typing.get_origin(part) or part) is Landed]
    return True, outputs[0][0] if outputs and outputs[0] else Any


def _dump(adapter: TypeAdapter[Any], result: Any) -> bytes:
    value = adapter.validator.validate_python(result)
    data: bytes = adapter.serializer.to_json(value, by_alias=True, warnings="error")
    if b"null" in data or _may_hold_constants(data):
        # pydantic writes NaN and infinities as one of these. Only then can there be one; and that is rarely so.
        data = encode_plain(adapter.dump_python(value, mode="json", by_alias=True, warnings="error"))
        json.dumps(adapter.dump_python(value), allow_nan=False, default=str, skipkeys=True)
    return data


def _problems(error: ValidationError) -> Iterator[Problem]:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    for each in found[:MAX_PROBLEMS]:
        # The value itself stays out: it may be a card's token, and problems are recorded and shown.
        yield {"path": _path(each["loc"]), "message": clip(each["msg"], 300)}
    if len(found) > MAX_PROBLEMS:
        yield {"path": "", "message": f"and {len(found) - MAX_PROBLEMS} more"}


def _path(location: tuple[int | str, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).removeprefix(".")
