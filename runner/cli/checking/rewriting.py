"""Files of the project that a command writes anew: definitions that are mended or formatted.

Rule: a reader sees the old text or the new one, never a half. What somebody else wrote in between is not lost: the
file is only replaced if it still holds what was read.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runner.errors import ConfigError

_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Original:
    """A file as it was read."""

    path: Path
    data: bytes

    @property
    def text(self) -> str:
        """Without a byte order mark; its ends of lines are as they are. Raises UnicodeDecodeError."""
        return self.data.removeprefix(_MARK).decode()

    def write(self, text: str) -> None:
        """Puts this text in its place, with the rights it had. Raises ConfigError."""
        mark = _MARK if self.data.startswith(_MARK) else b""
        file = Path(os.path.realpath(self.path))  # what a link leads to, not the link
        try:
            mode = file.stat().st_mode
            handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
            draft = Path(name)
            try:
                with os.fdopen(handle, "wb") as stream:
                    stream.write(mark + text.encode())
                    stream.flush()
                    os.fsync(stream.fileno())
                draft.chmod(mode & 0o7777)
                if file.read_bytes() != self.data:
                    raise ConfigError(f"{self.path} was changed by somebody else meanwhile; it is left as it is")
                draft.replace(file)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    draft.unlink()
        except OSError as error:
            raise ConfigError(f"{self.path} cannot be written: {error.strerror or error}") from error


def read_original(path: Path) -> Original:
    """Raises ConfigError."""
    try:
        return Original(path, path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from error


def diff_lines(before: str, after: str, name: str) -> Iterator[str]:
    """A unified diff, as `patch` and `git apply -p0` take it."""
    for line in difflib.unified_diff(before.splitlines(True), after.splitlines(True), name, name):
        yield line.rstrip("\r\n") if line.endswith("\n") else f"{line}\n\\ No newline at end of file"
