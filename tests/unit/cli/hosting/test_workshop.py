"""Worker code that cannot be imported is told with the line that is to be mended."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from runner.cli.hosting.workshop import import_failure, import_workers, modules_of
from runner.definition.project import Project
from runner.errors import ConfigError


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "modules", {**sys.modules})
    (tmp_path / "shelf").mkdir()
    (tmp_path / "shelf/__init__.py").touch()
    return Project(root=tmp_path, workers=("shelf",))


def failure(project: Project, text: str) -> str:
    (project.root / "shelf/goods.py").write_text(text)
    with pytest.raises(ConfigError) as raised:
        import_workers(project)
    return str(raised.value)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("import no_such\n", "shelf/goods.py:1: ModuleNotFoundError: No module named 'no_such'"),
        ("\n\nraise ValueError('first\\nsecond')\n", "shelf/goods.py:3: ValueError: first"),
        ("import json\njson.loads('{')\n", "shelf/goods.py:2: json.decoder.JSONDecodeError: "),
        ("def f(:\n", "shelf/goods.py:1: SyntaxError: "),
        ("raise SystemExit\n", "shelf/goods.py:1: SystemExit"),
    ],
)
def test_what_is_raised_at_import_is_told_with_the_projects_own_line(project: Project, text: str, place: str):
    told = failure(project, text)
    assert told.startswith("the workers cannot be imported\n")
    assert place in told
    assert "Traceback" not in told


def test_modules_are_imported_in_the_projects_folder(
    project: Project, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
):
    (project.root / "prices.txt").write_text("5")
    (project.root / "shelf/goods.py").write_text(
        "from pathlib import Path\nfrom runner import worker\nPRICE = Path('prices.txt').read_text()\n"
        "@worker('shelf.goods')\ndef goods(): ...\n"
    )
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.chdir(elsewhere)
    assert set(import_workers(project).contracts()) >= {"shelf.goods"}
    assert Path.cwd() == elsewhere


def test_the_same_told_by_a_child_with_its_traceback(project: Project):
    trace = (
        "the worker modules cannot be imported:\n"
        "Traceback (most recent call last):\n"
        '  File "/usr/lib/python3.11/importlib/__init__.py", line 126, in import_module\n'
        f'  File "{project.root}/shelf/goods.py", line 7, in <module>\n'
        "    x.y\n"
        '  File "/usr/lib/python3.11/somewhere.py", line 9, in deeper\n'
        "AttributeError: no y\n"
    )
    told = import_failure(ConfigError(trace), project)
    assert str(told) == "the workers cannot be imported\nshelf/goods.py:7: AttributeError: no y"


def test_a_module_that_is_not_there_says_where_it_was_looked_for(project: Project):
    with pytest.raises(ConfigError) as raised:
        import_workers(project, ["arbeiter"])
    assert f"there is no module 'arbeiter' on the path (looked in {project.root})" in str(raised.value)
    assert "--workers" in str(raised.value)


def test_another_mistake_of_the_configuration_is_left_as_it_is(project: Project):
    error = ConfigError("two workers are named 'x'")
    assert import_failure(error, project) is error


# -- without a package of ones own ----------------------------------------------------------------------
@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project without workers; nor is there a package of that name anywhere else."""
    monkeypatch.setattr(sys, "path", [each for each in sys.path if not (Path(each or ".") / "workers").is_dir()])
    monkeypatch.setattr(sys, "modules", {name: each for name, each in sys.modules.items() if name != "workers"})
    return Project(root=tmp_path)


def test_a_project_without_workers_has_those_that_come_with_sagarun(bare: Project):
    assert modules_of(bare) == ()
    assert "http.request" in import_workers(bare).contracts()


def test_a_package_that_is_there_is_the_projects(bare: Project):
    (bare.root / "workers").mkdir()
    (bare.root / "workers/__init__.py").touch()
    assert modules_of(bare) == ("workers",)


def test_modules_that_were_named_have_to_be_there(bare: Project):
    assert modules_of(bare, ["arbeiter"]) == ("arbeiter",)
    assert modules_of(Project(root=bare.root, workers=("arbeiter",))) == ("arbeiter",)
    with pytest.raises(ConfigError, match="there is no module 'arbeiter'"):
        import_workers(bare, ["arbeiter"])
