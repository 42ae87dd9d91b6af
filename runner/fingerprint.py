"""What makes two errors the same pattern: a fingerprint of what stays the same when the same thing goes wrong again.

Pure, and versioned: a rule that changes gives another VERSION, so that old groups and new ones are not mixed up.
The first that there is decides: a fingerprint that the error brings (`details.fingerprint`); the types and the
project's own frames of its traceback; its message with all that differs each time taken out.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from runner.wire import ErrorRecord

VERSION = "v1"
MAX_MESSAGE = 1_000  # characters of a message that are looked at
MAX_FRAMES = 8  # of the project's own, the innermost ones
MAX_PARTS = 10  # of a fingerprint that an error brings
_NAMES_ITS_PROCESS = frozenset({"worker_lost"})  # codes of sagarun's own whose message only says where
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # of run ids: no i l o u
_ID_LENGTH = 12


class Pattern(NamedTuple):
    """`group` is the fingerprint; the rest is for people, and may be another's of the same group."""

    group: str  # v1:4k2m…
    by: Literal["fingerprint", "traceback", "message"]  # which rule made it
    type: str  # KeyError; the code where no exception was raised
    where: str  # workers/payments.py in charge; "" without frames of the project's own
    message: str  # with what differs taken out


class Frame(NamedTuple):
    file: str  # the last two parts of its path: the rest is another one on each machine
    function: str
    line: str  # its text; numbers of lines move with every change above them


def pattern_of(error: ErrorRecord) -> Pattern:
    """Of an error as it was recorded; which step, attempt or run it was of makes no difference."""
    kind, message = _type_of(error)
    frames, types = _read_traceback(_detail(error, "traceback")) if error.code == "exception" else ((), ())
    own = _own(frames)[-MAX_FRAMES:]
    where = f"{own[-1].file} in {own[-1].function}" if own else ""
    text = normalised(message)
    given = _given(_detail(error, "fingerprint"))
    if given:
        return Pattern(_group("fingerprint", *given), "fingerprint", kind, where, text)
    if own:
        spelled = [part for frame in own for part in frame]
        return Pattern(_group("traceback", *(types or (kind,)), "", *spelled), "traceback", kind, where, text)
    told = "" if error.code in _NAMES_ITS_PROCESS else text
    return Pattern(_group("message", error.code, kind, told), "message", kind, where, text)


def normalised(message: str) -> str:
    """order <id> of <email> failed after <duration>"""
    text = " ".join(message[:MAX_MESSAGE].split())
    return _VARYING.sub(lambda found: f"{found.group('equals') or ''}<{found.lastgroup}>", text)


def _group(*parts: str) -> str:
    digest = hashlib.sha256("\x1f".join((VERSION, *parts)).encode("utf-8", "backslashreplace")).digest()
    number = int.from_bytes(digest[:8], "big")
    return f"{VERSION}:" + "".join(_ALPHABET[number >> shift & 31] for shift in range(0, 5 * _ID_LENGTH, 5))


def _type_of(error: ErrorRecord) -> tuple[str, str]:
    """An exception's message begins with its type, as the worker writes it."""
    if error.code == "exception":
        name, separator, message = error.message.partition(": ")
        if separator and name.isidentifier():
            return name, message
    return error.code, error.message


def _detail(error: ErrorRecord, name: str) -> Any:
    return error.details.get(name) if isinstance(error.details, Mapping) else None


def _given(value: Any) -> tuple[str, ...]:
    parts = value if isinstance(value, list) else [value]
    return tuple(part for part in parts[:MAX_PARTS] if isinstance(part, str) and part)


# -- tracebacks ---------------------------------------------------------------------------------------
_FRAME = re.compile(r'  File "(?P<path>[^"]+)", line (?P<line>\d+), in (?P<function>.+)')
_RAISED = re.compile(r"(?P<type>[A-Za-z_][\w.]*)(?::|$)")
_MARKS = re.compile(r"[\s~^]*$")  # under the part of a line that broke
_NOT_OWN = re.compile(r"<|.*/(?:site|dist)-packages/|.*/lib/python\d[\d.]*/|.*/runner/(?:worker|engine)/")


def _read_traceback(text: Any) -> tuple[tuple[tuple[str, Frame], ...], tuple[str, ...]]:
    """(path, frame) of each frame, and the types of the exceptions, the first cause first."""
    frames: list[tuple[str, Frame]] = []
    types: list[str] = []
    if not isinstance(text, str):
        return (), ()
    lines = text.split("\n")
    is_in_stack = False
    for number, line in enumerate(lines):
        found = _FRAME.fullmatch(line)
        if found is not None:
            is_in_stack = True
            following = lines[number + 1] if number + 1 < len(lines) else ""
            source = following.strip() if following.startswith("    ") and not _MARKS.match(following) else ""
            frames.append((found["path"], Frame(_short(found["path"]), found["function"], source)))
        elif is_in_stack and line and not line.startswith(" "):
            is_in_stack = False  # what follows until the next stack is a message, whatever it looks like
            raised = _RAISED.match(line)
            if raised is not None:
                types.append(raised["type"])
    return tuple(frames), tuple(types)


def _own(frames: tuple[tuple[str, Frame], ...]) -> list[Frame]:
    """Without those of Python, of packages and of sagarun; what calls itself counts once."""
    own: list[Frame] = []
    for path, frame in frames:
        if not _NOT_OWN.match(path) and (not own or own[-1] != frame):
            own.append(frame)
    return own


def place_of(error: ErrorRecord) -> str:
    """`workers/payments.py:12`, the innermost line of the project's own in its traceback; "" where there is none."""
    trace = _detail(error, "traceback")
    if error.code != "exception" or not isinstance(trace, str):
        return ""
    found = [match for match in map(_FRAME.fullmatch, trace.split("\n")) if match and not _NOT_OWN.match(match["path"])]
    return f"{_short(found[-1]['path'])}:{found[-1]['line']}" if found else ""


def _short(path: str) -> str:
    return "/".join(path.replace("\\", "/").split("/")[-2:])


# -- messages -----------------------------------------------------------------------------------------
# The first that fits at a place is taken, so the order matters: it is Sentry's, with what a saga's messages have more:
# quoted text anywhere, amounts of money, and ids, which are words with digits.
_KINDS = {
    "email": r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+",
    "url": r"\b[a-z][a-z0-9+.-]{1,11}://[^\s\"'<>]+",
    "hostname": r"\b(?:[a-zA-Z0-9-]{1,63}\.)+(?:com|net|org|io|dev|app|cloud|internal|local|localdomain|svc|test)\b"
                r"|\blocalhost\b",
    "ip": r"\b(?:\d{1,3}\.){3}\d{1,3}(?:/\d{1,2})?\b|(?<![\w:])(?:[0-9a-fA-F]{0,4}:){3,7}[0-9a-fA-F]{0,4}(?![\w:])",
    "traceparent": r"\b00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]\b",
    "uuid": r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b|\b[0-9a-fA-F]{32}\b(?=-)",
    "sha1": r"\b[0-9a-fA-F]{40}\b",
    "md5": r"\b[0-9a-fA-F]{32}\b",
    "date": r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?: ?(?:Z|[+-]\d\d:?\d\d)\b)?)?"
            r"|\b(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? )?\d{1,2} "
            r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]* \d{4}(?: \d\d:\d\d(?::\d\d)?)?"
            r"|\b\d{1,2}/\d{1,2}/\d{2,4}\b|\b\d\d:\d\d:\d\d(?:[.,]\d+)?\b",
    "duration": r"(?<![\w.])\d+(?:\.\d+)? ?(?:ns|us|µs|ms|s|sec|seconds?|min|minutes?|h|hours?|days?|d)\b",
    "hex": r"\b0[xX][0-9a-fA-F]+\b",
    "git_sha": r"\b(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{7}\b",
    "float": r"(?<![\w.])[-+]?\d+\.\d+(?:[eE][-+]?\d+)?\b|(?<![\w.])\d{1,3}(?:,\d{3})+(?:\.\d+)?\b",
    "int": r"(?<![\w.])[-+]?\d+\b(?![-_]\w)",
    "quoted": r"(?P<equals>=)?(?:\"[^\"\n]*\"|(?<!\w)'[^'\n]*'(?!\w)|`[^`\n]*`)",
    "bool": r"(?<==)(?:[Tt]rue|[Ff]alse)\b",
    "id": r"(?<![\w-])(?=[A-Za-z_-]*\d)[\w-]+",
}  # fmt: skip
_VARYING = re.compile("|".join(f"(?P<{name}>{rule})" for name, rule in _KINDS.items()))


