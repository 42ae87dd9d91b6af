"""The import contracts hold, and docs/architecture.md says what they say."""

from __future__ import annotations

import re
import subprocess
import sys

from tests.project.repository import ROOT, lines_of, settings

LAYERS = "importlinter:contract:layers"


def layers() -> list[list[str]]:
    """Highest first; the members of a layer do not import each other."""
    return [line.split(" | ") for line in lines_of(settings()[LAYERS]["layers"])]


def allowed_by_contracts() -> dict[str, set[str]]:
    """What each package of runner/ may import of the others: lower layers, less what a contract forbids it."""
    below: dict[str, set[str]] = {}
    lower: set[str] = set()
    for layer in reversed(layers()):
        for package in layer:
            below[package] = set(lower)
        lower |= set(layer)
    parser = settings()
    for section in parser.sections():
        if parser[section].get("type") != "forbidden":
            continue
        forbidden = {name.removeprefix("runner.") for name in lines_of(parser[section]["forbidden_modules"])}
        for source in lines_of(parser[section]["source_modules"]):
            below.get(source.removeprefix("runner."), set()).difference_update(forbidden)
    return below


def documented_rows() -> list[tuple[str, str]]:
    """(package, the text of "may import") for each row of the table, in its order."""
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    _, _, table = text.partition("| package | meaning | may import |")
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \|([^|]*)\|$", table.partition("\n\n")[0], re.MULTILINE)
    return [(package, cell.strip()) for package, cell in rows]


def test_import_contracts_hold():
    report = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as main; main()", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert report.returncode == 0, report.stdout + report.stderr


def test_architecture_table_lists_every_package_highest_first():
    assert [package for package, _ in documented_rows()] == [package for layer in layers() for package in layer]


def test_architecture_table_says_what_the_contracts_allow():
    allowed = allowed_by_contracts()
    documented = {}
    for package, cell in documented_rows():
        named = set(re.findall(r"`(\w+)`", cell))
        documented[package] = lower_than(package) if cell == "everything below" else named
    assert documented == allowed


def lower_than(package: str) -> set[str]:
    below: set[str] = set()
    for layer in reversed(layers()):
        if package in layer:
            return below
        below |= set(layer)
    raise AssertionError(f"{package} is in no layer of setup.cfg")


def test_every_layer_exists():
    missing = [
        package
        for layer in layers()
        for package in layer
        if not (ROOT / "runner" / package).is_dir() and not (ROOT / "runner" / f"{package}.py").is_file()
    ]
    assert missing == []


def test_contracts_about_owners_name_every_other_package():
    """A package that such a contract forgets could import the dependency unseen."""
    packages = {package for layer in layers() for package in layer} - {"errors", "clock"}
    for dependency, owner in (("jinja2", "expression"), ("pydantic", "worker"), ("redis", "store")):
        sources = lines_of(settings()[f"importlinter:contract:{dependency}"]["source_modules"])
        assert {source.removeprefix("runner.") for source in sources} == packages - {owner}, dependency
