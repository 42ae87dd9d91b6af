"""The repository as its own tests see it: its root, its settings and its files. Reads; writes nothing."""

from __future__ import annotations

import configparser
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# What the repository consists of. Named, not found by walking: a virtual environment, a cache or what a run left
# behind (.sagarun/, logs/, build/) may lie in the same folder and is nobody's source.
FOLDERS = (".ci", ".github", "benchmarks", "definitions", "deploy", "docs", "runner", "schemas", "tests", "workers")
TOP_LEVEL = (
    ".gitignore",
    ".pre-commit-hooks.yaml",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "action.yml",
    "pyproject.toml",
    "ruff.toml",
    "sagarun.yaml",
    "setup.cfg",
)


def settings() -> configparser.ConfigParser:
    """setup.cfg. Interpolation is off: values there may hold a percent sign."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def lines_of(value: str) -> list[str]:
    """A multi-line value of setup.cfg as its lines."""
    return [line.strip() for line in value.splitlines() if line.strip()]


def files(*folders: str, suffix: str = "") -> Iterator[Path]:
    """Every file under these folders of the repository whose name ends in `suffix`, in a fixed order."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob(f"*{suffix}")):
            below = path.relative_to(ROOT / folder).parts
            if path.is_file() and not any(part.startswith((".", "__pycache__")) for part in below[:-1]):
                yield path


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()
