"""The Lua scripts of the store as tests read them: the header's parts, and the body beneath."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "runner" / "store" / "lua"
SECTIONS = ("KEYS", "ARGV", "DERIVED", "PUBLISHES", "RETURNS")


@dataclass(frozen=True)
class LuaScript:
    """`keys` and `derived` are (name, type); names as in the header, such as "process:<engine>"."""

    name: str
    flags: str
    purpose: str
    keys: tuple[tuple[str, str], ...]
    argv: tuple[str, ...]
    derived: tuple[tuple[str, str], ...]
    returns: str
    body: str


def script_names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.lua") if path.stem != "prelude")


def read_script(name: str) -> LuaScript:
    lines = (FOLDER / f"{name}.lua").read_text("utf-8").split("\n")
    end = next(number for number, line in enumerate(lines) if number and not line.startswith("--"))
    comments = [line[2:].removeprefix(" ") for line in lines[1:end]]
    blank = comments.index("")
    sections: dict[str, list[str]] = {}
    current = ""
    for line in comments[blank + 1 :]:
        word = line.split(" ")[0]
        if word in SECTIONS:
            current = word
            sections[current] = []
            line = line.removeprefix(word)
        sections[current].append(line.strip())
    return LuaScript(
        name=name,
        flags=lines[0],
        purpose=" ".join(comments[:blank]),
        keys=_numbered(sections["KEYS"]),
        argv=tuple(line.split()[1] for line in sections["ARGV"] if re.match(r"\d+ ", line)),
        derived=_derived(" ".join(sections["DERIVED"])),
        returns=" ".join(sections["RETURNS"]),
        body="\n".join(lines[end:]),
    )


def _numbered(lines: list[str]) -> tuple[tuple[str, str], ...]:
    """`1 ready zset run id -> since when`, in order and without gaps."""
    parts = [line.split() for line in lines]
    assert [part[0] for part in parts] == [str(number) for number in range(1, len(parts) + 1)]
    return tuple((part[1], part[2]) for part in parts)


def _derived(text: str) -> tuple[tuple[str, str], ...]:
    return () if text == "none" else tuple(tuple(part.split()) for part in text.split(", "))  # type: ignore[misc]
