"""Every definition that a page shows does what it says: it is run, with workers that answer as its text supposes.

What a worker is not said to answer, it answers with its arguments.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from runner.definition.model import Call, Definition, steps_below
from runner.lint.checked import load_checked
from runner.testing import run_workflow
from runner.worker.registry import Registry
from tests.project.repository import ROOT, files, relative

PAGES = [ROOT / "README.md", *files("docs", suffix=".md")]

# What workers answer that an example reads, one after the other; the last one stays.
ANSWERS: Mapping[str, list[Any]] = {
    "couriers.call": [{"arrives": "14:30"}],
    "flight.book": [{"seat": "12A"}],
    "hotel.book": [{"room": "204"}],
    "gifts.wrap": [{"paper": "gold"}],
    "invoices.write": [{"number": 1}],
    "labels.order": [{"label": "L-1"}],
    "labels.state": [{"state": "printing", "url": None}, {"state": "ready", "url": "https://labels.example/L-1"}],
    "parcels.label": [{"number": "P-1"}],
    "payments.authorise": [{"id": "auth-1"}],
    "risk.score": [{"points": 10}],
    "stock.reserve": [{"hold": "H-1"}, {"hold": "H-2"}, {"hold": "H-3"}],
    "tables.hold": [{"table": 7}],
}
# The input of an example whose schema has none, by its page and heading.
INPUTS: Mapping[str, Any] = {
    "docs/language.md#steps": {"customer": "C-1", "amount": 500},
    "docs/language.md#expressions": {
        "net": 100, "number": 7, "name": " Ann ", "lines": [{"sku": "ink"}], "country": "US", "gift": True,
    },
    "docs/language.md#on_unknown-and-verify": {"amount": 100},
    "docs/language.md#compensation": {"flight": "LX 1"},
    "docs/language.md#for_each": {"customers": ["ann@shop.example", "bob@shop.example"]},
}
SIGNALS: Mapping[str, list[dict[str, Any]]] = {
    "docs/language.md#wait_for": [{"name": "decision", "data": {"approved": True, "by": "ann"}}],
}


class Example:
    """One block of YAML on a page that is a definition."""

    def __init__(self, page: Path, line: int, heading: str, text: str) -> None:
        self.place = f"{relative(page)}:{line}"
        self.section = f"{relative(page)}#{heading}"
        self.name = f"at_{line}"
        has_head = re.search(r"^workflow:", text, re.MULTILINE)
        self.text = text if has_head else f"workflow: {self.name}\nversion: 1.0.0\n{text}"


def examples() -> Iterator[Example]:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in re.finditer(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            if re.search(r"^(workflow|steps):", match[1], re.MULTILINE):
                before = text[: match.start()]
                titles = re.findall(r"^#+ +(.+?) *$", before, re.MULTILINE)
                heading = re.sub(r" ", "-", re.sub(r"[^\w\- ]", "", titles[-1].lower()))
                yield Example(page, before.count("\n") + 1, heading, match[1])


EXAMPLES = list(examples())


def workers_of(definition: Definition) -> set[str]:
    """Every worker that a definition, or one that it starts, names."""
    named: set[str] = set()
    for each in (definition, *definition.children.values()):
        for step in steps_below((*each.steps, *each.finally_)):
            calls = (getattr(step.action, key, None) for key in ("call", "compensate", "verify", "confirm"))
            named.update(call.worker for call in calls if isinstance(call, Call))
    return named


def scripted(definition: Definition) -> Registry:
    registry = Registry()
    for name in workers_of(definition):
        registry.worker(name)(answering(list(ANSWERS.get(name, ()))))
    return registry


def answering(answers: list[Any]) -> Callable[..., Any]:
    def worker(**arguments: Any) -> Any:
        if not answers:
            return arguments
        return answers.pop(0) if len(answers) > 1 else answers[0]

    return worker


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with every example as a file, so that those that start each other find each other."""
    root = tmp_path_factory.mktemp("project")
    (root / "schemas").symlink_to(ROOT / "schemas")
    for example in EXAMPLES:
        folder = root / example.section.partition("#")[0]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{example.name}.yaml").write_text(example.text, encoding="utf-8")
    return root


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.place)
def test_an_example_is_valid_and_runs_to_its_end(example: Example, project: Path) -> None:
    path = project / example.section.partition("#")[0] / f"{example.name}.yaml"
    definition = load_checked(path, root=project)
    samples = (definition.input_schema or {}).get("examples", [INPUTS.get(example.section, {})])
    signals = SIGNALS.get(example.section, ())
    ended = run_workflow(definition, samples[0], workers=scripted(definition), signals=signals)
    assert (ended.status, ended.error) == ("completed", None)


def test_every_key_of_a_construct_is_on_the_page_of_the_language() -> None:
    page = (ROOT / "docs/language.md").read_text(encoding="utf-8")
    shown = "\n".join(re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))
    for key in ("parallel", "for_each", "repeat", "switch", "wait", "wait_for", "subworkflow", "confirm"):
        assert re.search(rf"^## {key}$", page, re.MULTILINE), key
        assert re.search(rf"\b{key}:", shown), key


def test_the_exported_contracts_of_the_workers_are_current() -> None:
    """Stale: sagarun workers export"""
    exported = subprocess.run(
        [sys.executable, "-m", "runner.cli.main", "workers", "check"], cwd=ROOT, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert exported.returncode == 0, exported.stdout + exported.stderr
