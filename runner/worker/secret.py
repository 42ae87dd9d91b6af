"""Secrets by reference: sagarun.yaml says where each one is, and only the process that needs it reads it, when it does.

A definition names a secret, and so do the run's state, its history and every log; the value is in none of them. What
comes back from a service is searched for it too, because some repeat in an answer what they were sent.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from runner.shown import MIN_LENGTH

MAX_BYTES = 16_384


class SecretSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of the two: an environment variable of the worker process, or a file (relative to the project's root)."""

    env: str = ""
    file: str = ""


class SecretMissing(Exception):
    """A secret is not there, or cannot be one; the text says why, and never what it is."""


def read_secret(name: str, sources: Mapping[str, SecretSource], root: str) -> str:
    """Read anew each time, so that a file can be rotated. Raises SecretMissing."""
    source = sources.get(name)
    if source is None:
        known = ", ".join(sorted(sources)) or "none"
        raise SecretMissing(f"there is no secret {name!r} under secrets in sagarun.yaml (there are: {known})")
    value = _of_environment(source.env) if source.env else _of_file(root, source.file)
    if len(value) < MIN_LENGTH:
        raise SecretMissing(f"the secret {name!r} has fewer than {MIN_LENGTH} characters: is it complete?")
    if not (value.isascii() and value.isprintable()):
        raise SecretMissing(f"the secret {name!r} has a character in it that no header may have")
    return value


def _of_environment(variable: str) -> str:
    value = os.environ.get(variable)
    if value is None:
        raise SecretMissing(f"the environment variable {variable} of the worker process is not set")
    return value.strip()


def _of_file(root: str, path: str) -> str:
    try:
        with (Path(root) / path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SecretMissing(f"the file {path} cannot be read: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise SecretMissing(f"the file {path} has more than {MAX_BYTES:,} bytes")
    try:
        return data.decode().strip()
    except UnicodeDecodeError:
        raise SecretMissing(f"the file {path} is not text") from None
