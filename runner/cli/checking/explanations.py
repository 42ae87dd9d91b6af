"""What the codes of `validate` mean: a page each in runner/lint/docs, with an example that has it and one that has not.

A page is Markdown: `# CODE: title`, what it means, `Wrong:` and `Right:` with blocks of YAML. A block is a definition,
whose head may be left out; or its steps alone; or a test file. Blocks with a file name are files beside it. A test
checks that each wrong example has its code and no other, and that each right one has none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import runner.lint

FOLDER = Path(runner.lint.__file__).parent / "docs"
MAIN = "example.yaml"
_HEAD = "workflow: example\nversion: 1.0.0\n"
_TITLE = re.compile(r"# (?P<code>SR\d{3}): (?P<title>.+)\n")
_BLOCK = re.compile(r"^```yaml(?: (?P<file>\S+))?\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Example:
    """What a page shows in one block."""

    file: str
    shown: str

    @property
    def text(self) -> str:
        """What stands in the file: with the head and the key that are left out."""
        if self.shown.startswith("- "):
            return f"{_HEAD}steps:\n" + "".join(f"  {line}\n" if line else "\n" for line in self.shown.splitlines())
        has_head = re.search(r"^(workflow|definition):", self.shown, re.MULTILINE)
        return self.shown if has_head else _HEAD + self.shown


@dataclass(frozen=True, slots=True)
class Explanation:
    """One page. No examples: the code cannot be shown by one that fits on a page."""

    code: str
    title: str
    meaning: str
    wrong: tuple[Example, ...]
    right: tuple[Example, ...]


def explained_codes() -> list[str]:
    return sorted(file.stem for file in FOLDER.glob("SR*.md"))


def explanation(code: str) -> Explanation | None:
    file = FOLDER / f"{code}.md"
    return read_page(file.read_text(encoding="utf-8")) if code in explained_codes() else None


def read_page(text: str) -> Explanation:
    """Raises ValueError for what is no page."""
    head = _TITLE.match(text)
    if head is None:
        raise ValueError("a page begins with `# CODE: title`")
    body, _, examples = text[head.end() :].partition("\nWrong:\n")
    wrong, _, right = examples.partition("\nRight:\n")
    return Explanation(head["code"], head["title"], body.strip(), tuple(_examples(wrong)), tuple(_examples(right)))


def _examples(text: str) -> Iterator[Example]:
    for match in _BLOCK.finditer(text):
        yield Example(match["file"] or MAIN, match["text"])
