"""Wrong files made of right ones: of their bytes, lines and of what they say. A seed makes the same file each time."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from runner.definition.source import read_text
from runner.errors import DefinitionError
from tests.fuzz.bombs import BOMBS

_TOKENS = (
    b"{", b"}", b"[", b"]", b":", b": ", b"- ", b"&a ", b"*a", b"!!str ", b"<<: ", b"? ", b"|", b">", b"'", b'"', b"#",
    b"%", b"\t", b"\n", b"\r\n", b"\x00", b"\xff", b"\xe2\x80\xa8", b"\xf0\x9f\x9a\xa8", b"---\n", b"...\n",
    b"{{", b"}}", b"{{ input.a }}", b"{{ steps. }}", b"{%", b"| default('')", b"null", b"true", b"True", b"012", b"0",
    b"-1", b"1e999", b".nan", b"$ref", b"steps", b"catch", b"with", b"worker", b"id", b"when", b"output",
    b"# sagarun: ignore[SR229] x\n",
)  # fmt: skip
_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, 2**63, 10**30, "", "x", "a b", "{{ input }}", "{{ steps.a.output.b }}", "{{", "}}",
    "{{ 1 + 'a' }}", "{{ input.a | nothing }}", "10s", "0s", "1d", "9999d", "none", "any", "rethrow", "continue",
    "\x00", "\ud7ff", "é" * 50, "x" * 5_000, [], {}, [[]], [{}], {"": {}}, {"a": None}, {"$ref": "#"},
    {"$ref": "x.json"}, {"fail": {"error": "no"}}, {"id": "a", "worker": "w"}, [{"set": {"x": 1}}], {"~0/": 1},
    {"x": {"x": {"x": []}}},
)  # fmt: skip

Change = Callable[[bytes, Random, Sequence[bytes]], bytes]


def mutated(seed: int, files: Sequence[bytes]) -> bytes:
    """One file. Every five hundredth is a bomb as it is."""
    random = Random(seed)
    if seed % 500 == 0:
        return BOMBS[seed // 500 % len(BOMBS)]
    source = random.choice(BOMBS if random.random() < 0.02 else files)
    # Most changed bytes end in a syntax error, so that most files are changed in what they say.
    changes = _BYTES if random.random() < 0.2 else _SAYING
    for _ in range(random.choice((1, 1, 1, 2, 3, 8))):
        source = random.choice(changes)(source, random, files)
    return source


# -- bytes and lines --------------------------------------------------------------------------------------
def _flip(source: bytes, random: Random, _files: Sequence[bytes]) -> bytes:
    data = bytearray(source or b"a")
    for _ in range(random.randint(1, 4)):
        data[random.randrange(len(data))] = random.randrange(256)
    return bytes(data)


def _insert(source: bytes, random: Random, _files: Sequence[bytes]) -> bytes:
    at = random.randint(0, len(source))
    return source[:at] + random.choice(_TOKENS) * random.choice((1, 1, 1, 2, 50)) + source[at:]


def _cut(source: bytes, random: Random, _files: Sequence[bytes]) -> bytes:
    start = random.randint(0, len(source))
    return source[:start] + source[start + random.choice((1, 1, 2, 10, 200)) :]


def _truncate(source: bytes, random: Random, _files: Sequence[bytes]) -> bytes:
    return source[: random.randint(0, len(source))]


def _splice(source: bytes, random: Random, files: Sequence[bytes]) -> bytes:
    other = random.choice(files)
    return source[: random.randint(0, len(source))] + other[random.randint(0, len(other)) :]


def _lines(source: bytes, random: Random, files: Sequence[bytes]) -> bytes:
    lines = source.split(b"\n")
    one, other = random.randrange(len(lines)), random.randrange(len(lines))
    match random.randrange(5):
        case 0:
            lines[one], lines[other] = lines[other], lines[one]
        case 1:
            lines.insert(one, lines[other])
        case 2:
            del lines[one]
        case 3:
            lines[one] = b" " * random.randint(1, 9) + lines[one]
        case _:
            lines.insert(one, random.choice(random.choice(files).split(b"\n")))
    return b"\n".join(lines)


def _word(source: bytes, random: Random, _files: Sequence[bytes]) -> bytes:
    words = source.split(b" ")
    words[random.randrange(len(words))] = random.choice((random.choice(words), random.choice(_TOKENS)))
    return b" ".join(words)


# -- what it says -----------------------------------------------------------------------------------------
def _structure(source: bytes, random: Random, files: Sequence[bytes]) -> bytes:
    value = _parsed(source)
    if not isinstance(value, (dict, list)) or not value:
        return _word(source, random, files)
    holders = list(_holders(value))
    for _ in range(random.choice((1, 1, 2, 5))):
        holder = random.choice(holders)
        if not holder:
            continue
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        key, other = random.choice(keys), random.choice(holders)
        match random.randrange(6):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[random.choice(("x", "steps", "when", "catch", "with", "", "a.b"))] = holder.pop(key)
            case 2:
                holder[key] = copy.deepcopy(random.choice(_VALUES))
            case 3 if isinstance(holder, list):
                holder.extend(copy.deepcopy(holder[:3]))
            case 4:
                holder[key] = copy.deepcopy(other)
            case _:
                holder[key] = {"x": holder[key]} if random.random() < 0.5 else [holder[key]]
        if len(str(value)) > 300_000:
            break
    return _dumped(value, random)


def _parsed(source: bytes) -> Any:
    if len(source) > 20_000:
        return None  # a bomb is for the one that is tested
    try:
        return copy.deepcopy(read_text(source.decode(), "a.yaml").value)
    except (DefinitionError, UnicodeDecodeError):
        return None


def _holders(value: Any) -> list[Any]:
    found, waiting = [], [value]
    while waiting and len(found) < 5_000:
        each = waiting.pop()
        if isinstance(each, (dict, list)):
            found.append(each)
            waiting.extend(each.values() if isinstance(each, dict) else each)
    return found


def _expression(source: bytes, random: Random, files: Sequence[bytes]) -> bytes:
    """Another word, or one more, in one of the texts."""
    value = _parsed(source)
    places = [
        (holder, key)
        for holder in _holders(value)
        for key in (list(holder) if isinstance(holder, dict) else range(len(holder)))
        if isinstance(holder[key], str)
    ]
    if not places:
        return _word(source, random, files)
    for _ in range(random.choice((1, 1, 2))):
        holder, key = random.choice(places)
        text = holder[key] if "{{" in holder[key] or random.random() < 0.5 else f"{{{{ {holder[key]} }}}}"
        words = _PIECE.findall(text)
        if words:
            at = random.randrange(len(words))
            words[at : at + random.randint(0, 1)] = [random.choice((random.choice(words), random.choice(_WORDS)))]
        holder[key] = "".join(words)
    return _dumped(value, random)


def _dumped(value: Any, random: Random) -> bytes:
    text = json.dumps(value, ensure_ascii=random.random() < 0.5, indent=random.choice((None, 1)))
    return text.encode("utf-8", "surrogatepass")


_PIECE = re.compile(r"\w+|\s+|[^\w\s]")
_WORDS = (
    " ", ".", "|", "+", "-", "*", "/", "//", "%", "~", "==", "!=", "<", " in ", " not ", " and ", " or ", " is ",
    " if ", " else ", "(", ")", "[", "]", "{", "}", ",", ":", "'", "'x'", "1", "0", "1e9", "none", "true", "input",
    "steps", "vars", "run", "step", "result", "error", "output", "status", "default('')", "length", "upper", "defined",
    "map(attribute='a')",
)  # fmt: skip
_BYTES: tuple[Change, ...] = (_flip, _insert, _cut, _truncate, _splice, _lines, _word)
_SAYING: tuple[Change, ...] = (_structure, _structure, _expression)
