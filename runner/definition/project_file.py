"""Reads the files that a definition refers to: regular files under the project root, and nothing else, ever.

What a `$ref` says is not trusted. The path is checked after every link is resolved, and then opened
without following one, so that a link which takes the file's place in between is refused as well.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from runner.definition.complaint import did_you_mean
from runner.definition.finding import shown
from runner.definition.source import read_text

MAX_FILES = 100
MAX_TOTAL_BYTES = 2 * 1024 * 1024
MAX_JSON_DEPTH = 64
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


class FileRefused(Exception):
    """The file must not be read, or cannot be used; the text says why. `hint` may say what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ProjectFiles:
    """The files read for one definition, within the limits of count and size."""

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.realpath(root))
        self._values: dict[Path, Any] = {}
        self._bytes = 0

    def locate(self, reference: str, folder: Path) -> Path:
        """The real path that `reference` means in a file of `folder`. Raises FileRefused."""
        if _SCHEME.match(reference) or reference.startswith("//"):
            raise FileRefused("URLs are not read", "name a file under the project root")
        if not reference.isprintable() or "\\" in reference:
            raise FileRefused("this is not a file name", "name a file under the project root, with / between folders")
        if reference.startswith(("/", "~")):
            raise FileRefused("the path must be relative to the file it is in")
        path = Path(os.path.realpath(folder / reference))
        if not path.is_relative_to(self.root):
            raise FileRefused("the file is outside the project root")
        return path

    def shown(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def read(self, path: Path) -> Any:
        """The value of a file that `locate` has let pass. Raises FileRefused, and DefinitionError for bad YAML."""
        if path not in self._values:
            if len(self._values) >= MAX_FILES:
                raise FileRefused(f"more than {MAX_FILES} files are referred to")
            data = self._read_bytes(path)
            self._values[path] = self._parse(path, data)
        return self._values[path]

    def _read_bytes(self, path: Path) -> bytes:
        left = MAX_TOTAL_BYTES - self._bytes
        try:
            # O_NONBLOCK: opening a pipe would wait for a writer.
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(handle, "rb") as stream:
                if not stat.S_ISREG(os.fstat(handle).st_mode):
                    raise FileRefused("this is not a regular file")
                data = stream.read(left + 1)
        except OSError as error:
            raise FileRefused(f"the file cannot be read: {error.strerror}", _nearby(path)) from None
        self._bytes += len(data)
        if len(data) > left:
            raise FileRefused(f"the files referred to have more than {MAX_TOTAL_BYTES // 1024:,} KiB together")
        return data

    def _parse(self, path: Path, data: bytes) -> Any:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise FileRefused("the file is not UTF-8 text") from None
        if path.suffix in (".yaml", ".yml"):
            return read_text(text, self.shown(path)).value
        return _parse_json(text)


def _parse_json(text: str) -> Any:
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_not_json)
        msgspec.json.encode(value)  # halves of surrogate pairs and endless integers have no JSON of ours
    except json.JSONDecodeError as error:
        raise FileRefused(f"line {error.lineno}, column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise FileRefused(f"nested more than {MAX_JSON_DEPTH} deep") from None
    except (ValueError, OverflowError) as error:
        raise FileRefused(str(error)) from None
    _refuse_depth(value)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {shown(twice)} is here twice")
    return members


def _not_json(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _refuse_depth(value: Any) -> None:
    level, depth = _collections([value]), 0
    while level:
        depth += 1
        if depth > MAX_JSON_DEPTH:
            raise FileRefused(f"nested more than {MAX_JSON_DEPTH} deep")
        level = [inner for node in level for inner in _collections(node.values() if isinstance(node, dict) else node)]


def _collections(values: Iterable[Any]) -> list[Any]:
    return [value for value in values if isinstance(value, (dict, list))]


def _nearby(path: Path) -> str:
    try:
        return did_you_mean(path.name, sorted(sibling.name for sibling in islice(path.parent.iterdir(), 1000)))
    except OSError:
        return ""  # a hint is all that is lost; why the file cannot be read is said anyway
