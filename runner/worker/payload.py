"""JSON as it crosses the border of a worker, and how much of it. Nothing that is not JSON gets past here.

NaN and infinities are refused: encoders that write them as `null` would turn a wrong amount into no amount.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

MAX_PAYLOAD_BYTES = 1024 * 1024  # a task's input, and its output
MAX_TEXT_BYTES = 4 * 1024  # an error's message
MAX_TRACEBACK_BYTES = 16 * 1024
MAX_DETAILS_BYTES = 64 * 1024

Problem = Mapping[str, str]  # of an argument or a result: path ("items[0].qty"), message

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def encode_plain(value: Any) -> bytes:
    """JSON values only (dict, list, str, numbers, bool, None). Raises ValueError or TypeError, saying why not."""
    try:
        return _encode(value).encode()
    except RecursionError:
        raise ValueError("it is nested too deeply, or contains itself") from None


def encode_json(value: Any) -> bytes:
    """JSON values, and in them models, dataclasses, enums, Decimal, dates, times and UUIDs, as pydantic writes them.

    Raises ValueError or TypeError. Sets and bytes are refused: they have no JSON form that everybody would guess.
    """
    try:
        return _tolerant.encode(value).encode()
    except RecursionError:
        raise ValueError("it is nested too deeply, or contains itself") from None


def decode_json(data: bytes | str) -> Any:
    return json.loads(data)


def describe(problems: Sequence[Problem]) -> str:
    """One line for people: every problem with its path."""
    return "; ".join(f"{each['path']}: {each['message']}" if each["path"] else each["message"] for each in problems)


def clip(text: str, limit: int, *, keep_end: bool = False) -> str:
    """At most `limit` bytes of UTF-8, marked where something was left out."""
    data = text.encode("utf-8", "replace")
    if len(data) <= limit:
        return data.decode()
    room = limit - len("…".encode())
    if keep_end:
        return "…" + data[-room:].decode("utf-8", "ignore")
    return data[:room].decode("utf-8", "ignore") + "…"


def clip_details(details: Any) -> Any:
    """What an error may carry: itself when it is JSON and small enough, else a note that says what was left out."""
    if details is None:
        return None
    try:
        data = encode_json(details)
    except Exception as error:  # any: it is user code (a model's serializer) that runs here
        return {"omitted": clip(f"details are not JSON: {error}", 500)}
    if len(data) > MAX_DETAILS_BYTES:
        return {"omitted": f"details of {len(data):,} bytes; at most {MAX_DETAILS_BYTES:,} are kept"}
    return json.loads(data)


def _jsonable(value: Any) -> Any:
    if isinstance(value, (decimal.Decimal, datetime.date, datetime.time, datetime.timedelta, uuid.UUID, enum.Enum)):
        from pydantic_core import to_jsonable_python

        return to_jsonable_python(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    dump = getattr(value, "model_dump", None)
    if dump is not None and not isinstance(value, type):
        return dump(mode="json", by_alias=True)
    raise TypeError(f"{type(value).__name__} is not JSON")


_tolerant = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_jsonable)
