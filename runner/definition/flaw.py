"""What a YAML text may not have, and where: by offset, because where the YAML is wrong there may be no node to name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something that this YAML may not have, and where."""

    code: str
    message: str
    start: int
    end: int
    hint: str = ""
    since: int = -1  # where what is flawed begins, if that is further up than `start`


def character_flaw(error: yaml.reader.ReaderError, text: str) -> Flaw:
    """A character that YAML does not allow. libyaml gives its place in bytes."""
    offset = len(text.encode()[: error.position].decode(errors="ignore"))
    character: Any = error.character  # its number, or itself where PyYAML has no libyaml
    code_point = character if isinstance(character, int) else ord(character)
    return Flaw("SR001", f"character U+{code_point:04X} is not allowed in YAML", offset, offset + 1)


def _slip(text: str, offset: int, problem: str) -> str:
    """What was probably done there, or nothing: a line that is indented like no other, a quote within its like."""
    before = text[text.rfind("\n", 0, offset) + 1 : offset]
    if "did not find expected" not in problem:
        return ""
    if not before.strip():
        return f"this line is indented by {len(before)}, as nothing above that it could go on with"
    if text[offset - 1] in "\"'":
        other = "'" if text[offset - 1] == '"' else '"'
        return f"the text ends at this quote: within it write {other}"
    return ""


def syntax_flaw(error: yaml.MarkedYAMLError, text: str) -> Flaw:
    """A syntax error in words that say what to do, where the usual slips are concerned."""
    mark = error.problem_mark or error.context_mark
    offset = min(mark.index if mark else 0, len(text))
    problem = error.problem or "it cannot be understood"
    found = text[offset : offset + 1]
    if found == "\t":
        message, hint = "a tab cannot be used here", "indent with spaces"
    elif "cannot start any token" in problem:
        message, hint = f"a value cannot begin with {found}", "put it in quotes"
    elif "mapping values are not allowed" in problem:
        message, hint = "a key cannot stand here", 'a text with ": " in it needs quotes; else see the indentation'
    else:
        message, hint = f"not valid YAML: {problem}", _slip(text, offset, problem)
        if not hint and error.context and error.context_mark:
            hint = f"{error.context} that begins in line {error.context_mark.line + 1}"
    since = -1
    if error.context_mark and str(error.context).startswith(("while scanning", "while parsing a flow")):
        since = error.context_mark.index  # what is in blocks is read one by one, and only the last of it is flawed
    return Flaw("SR001", message, offset, offset + 1, hint, since)
