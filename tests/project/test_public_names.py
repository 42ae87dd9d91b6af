"""The public surface is pinned: what `runner` offers, and what importing it costs."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest

import runner
import runner.errors
from tests.project.repository import ROOT

# To take a name out of this list, or to give it another meaning, breaks somebody's program: say so in CHANGELOG.md.
PUBLIC_NAMES = {
    "AlreadyUndone",
    "AsyncClient",
    "BusinessError",
    "Client",
    "Context",
    "Landed",
    "NoEffectError",
    "NotLanded",
    "Pending",
    "RetryLater",
    "SagarunError",
    "__version__",
    "current",
    "worker",
}


def test_public_names_are_these():
    assert set(runner.__all__) == PUBLIC_NAMES


@pytest.mark.parametrize("name", sorted(PUBLIC_NAMES))
def test_every_public_name_is_there(name: str):
    assert getattr(runner, name) is not None
    assert name in dir(runner)


def test_a_name_that_is_not_there_says_so():
    with pytest.raises(AttributeError, match=r"module 'runner' has no attribute 'wroker'"):
        _ = runner.wroker


def modules_loaded_by(statement: str) -> set[str]:
    """What one statement brings into a fresh interpreter."""
    program = f"import sys; {statement}; print(*sys.modules)"
    report = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(report.stdout.split())


@pytest.mark.parametrize("statement", ["import runner.worker", "from runner import BusinessError, Context, worker"])
def test_a_worker_loads_neither_templates_nor_yaml(statement: str):
    loaded = modules_loaded_by(statement)
    assert "runner.worker" in loaded
    assert loaded & {"jinja2", "yaml", "runner.definition", "runner.expression", "runner.interpreter"} == set()


def test_importing_the_package_loads_nothing_else():
    loaded = {name for name in modules_loaded_by("import runner") if name.startswith("runner")}
    assert loaded == {"runner"}


EXCEPTIONS = [
    runner.errors.BusinessError("out_of_stock", "SKU-9 has 3 left", details={"sku": "SKU-9"}),
    runner.errors.NoEffectError("the connection was refused"),
    runner.errors.RetryLater("busy", after="5s"),
    runner.errors.AlreadyUndone("fenced"),
    runner.errors.RunNotFound(),
    runner.errors.InputError(["/items: is too short", "/total: is required"]),
    runner.errors.DefinitionError(["order.yaml:1:1: error[SR001]: empty"]),
]


@pytest.mark.parametrize("error", EXCEPTIONS, ids=lambda error: type(error).__name__)
def test_an_exception_survives_the_way_between_processes(error: BaseException):
    """A worker may raise one of them in a process pool of its own; what arrives must still say the same."""
    arrived = pickle.loads(pickle.dumps(error))
    assert type(arrived) is type(error)
    assert str(arrived) == str(error)
    assert vars(arrived) == vars(error)


def test_every_exception_of_the_tree_is_drawn_in_its_docstring():
    drawn = runner.errors.__doc__ or ""
    raised = [
        name
        for name, value in vars(runner.errors).items()
        if isinstance(value, type) and issubclass(value, BaseException)
    ]
    assert len(raised) > 15
    assert [name for name in raised if name not in drawn] == []
