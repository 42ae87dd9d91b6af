"""A project as it was: what git keeps of its definitions and schemas at one commit, in a folder of its own.

Rule: git is only read, by commands that run nothing of the repository, and what a user names is never an option.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runner.errors import UsageError

_SUFFIXES = (".yaml", ".yml", ".json")
_MAX_BYTES = 2 * 1024 * 1024  # of one file; what a definition refers to may not be larger in all


@contextmanager
def project_at(root: Path, revision: str) -> Iterator[Path]:
    """The project's folder at a revision, with its YAML and JSON files. Raises UsageError."""
    top = Path(_git(root, "rev-parse", "--show-toplevel", why=f"{root} is in no git repository").decode().strip())
    unknown = f"git knows no revision {revision!r} here; a shallow clone (as CI makes) has to fetch it first"
    commit = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}", why=unknown)
    prefix = Path(os.path.relpath(os.path.realpath(root), os.path.realpath(top))).as_posix()
    tree = commit.decode().strip() + ("" if prefix == "." else f":{prefix}")
    with tempfile.TemporaryDirectory(prefix="sagarun-diff-") as folder:
        _extract(root, tree, Path(folder))
        yield Path(folder)


def _extract(root: Path, tree: str, folder: Path) -> None:
    """Regular files only: a link may lead out of the folder."""
    try:
        listed = _git(root, "ls-tree", "-r", "-z", "-l", "--full-tree", tree)
    except UsageError:
        return  # the project's folder was not there yet
    wanted = []
    for entry in listed.decode(errors="surrogateescape").split("\0"):
        meta, _, name = entry.partition("\t")
        if not name.endswith(_SUFFIXES):
            continue
        mode, _, digest, length = meta.split()
        if mode in ("100644", "100755") and int(length) <= _MAX_BYTES:
            wanted.append((digest, name))
    read = _git(root, "cat-file", "--batch", given="".join(f"{digest}\n" for digest, _ in wanted).encode())
    at = 0
    for _, name in wanted:
        line_end = read.index(b"\n", at)
        size = int(read[at:line_end].split()[2])
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(read[line_end + 1 : line_end + 1 + size])
        at = line_end + 1 + size + 1


def _git(root: Path, *arguments: str, given: bytes = b"", why: str = "") -> bytes:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], input=given, capture_output=True, check=False, timeout=60
        )
    except FileNotFoundError:
        raise UsageError("git is not installed, and --against git:… needs it") from None
    if done.returncode != 0:
        raise UsageError(why or f"git {arguments[0]}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout
