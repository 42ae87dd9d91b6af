"""The decorator and the registry: a worker stays a function, and a mistake is told where it is made."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest

import runner
from runner.errors import ConfigError
from runner.worker import registry as registry_module
from runner.worker.context import Context
from runner.worker.registry import Registry, load_modules


@pytest.fixture
def registry() -> Registry:
    return Registry()


def test_a_worker_stays_an_ordinary_function(registry: Registry):
    @registry.worker("shop.double")
    def double(number: int) -> int:
        return 2 * number

    assert double(21) == 42


def test_its_queue_is_its_name_unless_it_says_otherwise(registry: Registry):
    registry.worker("shop.first")(lambda: None)
    registry.worker("shop.second", queue="slow")(lambda: None)
    assert registry.queues() == ("shop.first", "slow")


def test_the_public_decorator_fills_the_registry_of_the_process(monkeypatch: pytest.MonkeyPatch):
    own = Registry()
    monkeypatch.setattr(registry_module, "REGISTRY", own)

    @runner.worker("shop.public", readonly=True)
    def public() -> None: ...

    found = own.get("shop.public")
    assert found is not None
    assert (found.function, found.readonly) == (public, True)


def test_the_name_stays_the_decorator_after_its_modules_are_imported():
    importlib.import_module("runner.worker.attempt")
    assert callable(runner.worker)


def test_two_functions_of_one_name_are_refused_with_both_places(registry: Registry):
    @registry.worker("shop.twice")
    def one() -> None: ...

    with pytest.raises(ConfigError, match=r"test_registry\.py:\d+ and .*test_registry\.py:\d+"):

        @registry.worker("shop.twice")
        def two() -> None: ...


def test_a_module_that_is_loaded_again_replaces_its_workers(registry: Registry):
    def define() -> None:
        @registry.worker("shop.again")
        def again() -> None: ...

    define()
    define()
    assert len(registry) == 1


@pytest.mark.parametrize("name", ["", "Shop.x", "shop..x", "shop x", "a|b", "x" * 65, "1st", "shop.\n"])
def test_a_name_that_cannot_be_one_is_refused(registry: Registry, name: str):
    with pytest.raises(ConfigError, match="cannot be the name of a worker"):
        registry.worker(name)


def test_a_queue_that_cannot_be_one_is_refused(registry: Registry):
    with pytest.raises(ConfigError, match="cannot be the name of a queue"):
        registry.worker("shop.x", queue="a|b")


def test_a_forgotten_name_is_explained(registry: Registry):
    with pytest.raises(TypeError, match=r'@worker\("payments.charge"\)'):
        registry.worker(lambda: None)  # type: ignore[arg-type]


def test_one_string_for_raises_is_explained(registry: Registry):
    with pytest.raises(TypeError, match=r'raises=\["no_stock"\]'):
        registry.worker("shop.x", raises="no_stock")


@pytest.mark.parametrize("code", ["timeout", "any", "business", "worker_lost"])
def test_a_code_that_has_a_meaning_of_its_own_is_refused(registry: Registry, code: str):
    with pytest.raises(ConfigError, match="has a meaning of its own"):
        registry.worker("shop.x", raises=[code])


@pytest.mark.parametrize("code", ["Out Of Stock", "", "x" * 65])
def test_a_code_that_cannot_be_one_is_refused(registry: Registry, code: str):
    with pytest.raises(ConfigError, match="is no error code"):
        registry.worker("shop.x", raises=[code])


def test_a_class_is_no_worker(registry: Registry):
    with pytest.raises(TypeError, match="a function is needed"):
        registry.worker("shop.x")(dict)


def test_a_generator_is_no_worker(registry: Registry):
    def many():
        yield 1

    with pytest.raises(TypeError, match="a worker returns one"):
        registry.worker("shop.x")(many)


def test_contracts_say_what_the_linter_and_the_engine_need(registry: Registry):
    @registry.worker("shop.charge", queue="payments", raises=["card_declined"])
    def charge(ctx: Context, amount: int, note: str = "none") -> dict[str, int]:
        """Charge a card.

        Once.
        """
        raise NotImplementedError

    contract = json.loads(registry.encoded_contracts()["shop.charge"])
    assert contract.pop("location").startswith("tests/unit/worker/test_registry.py:")
    assert contract.pop("input")["properties"]["note"] == {"title": "Note", "type": "string", "default": "none"}
    assert contract == {
        "name": "shop.charge",
        "queue": "payments",
        "readonly": False,
        "raises": ["card_declined"],
        "output": {"additionalProperties": {"type": "integer"}, "type": "object"},
        "verdict": False,
        "doc": "Charge a card.\n\nOnce.",
    }


def test_every_worker_that_cannot_be_one_is_reported_at_once(registry: Registry):
    registry.worker("shop.first")(lambda *items: items)
    registry.worker("shop.second")(lambda ctx: ctx)
    with pytest.raises(ConfigError) as caught:
        registry.contracts()
    assert "'shop.first'" in str(caught.value)
    assert "'shop.second'" in str(caught.value)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A folder on the path; what is imported from it is forgotten again."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry_module, "REGISTRY", Registry())
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("shop_")]:
        del sys.modules[name]


def test_a_package_is_loaded_with_all_its_modules(project: Path):
    (project / "shop_all" / "deep").mkdir(parents=True)
    (project / "shop_all" / "__init__.py").write_text("")
    (project / "shop_all" / "deep" / "__init__.py").write_text("")
    for path, name in (("one.py", "shop.one"), ("deep/two.py", "shop.two")):
        (project / "shop_all" / path).write_text(f"from runner import worker\n@worker('{name}')\ndef f(): ...\n")
    assert {each.name for each in load_modules(["shop_all"])} == {"shop.one", "shop.two"}


def test_a_location_is_relative_to_where_the_module_is_imported_from(project: Path):
    (project / "shop_place").mkdir()
    (project / "shop_place" / "__init__.py").write_text("from runner import worker\n\n\n@worker('a.b')\ndef f(): ...\n")
    found = load_modules(["shop_place"]).get("a.b")
    assert found is not None
    assert found.location == "shop_place/__init__.py:4"


@pytest.mark.usefixtures("project")
def test_a_module_that_is_not_there_is_named():
    with pytest.raises(ConfigError, match=r"there is no module 'shop_none\.x' on the path"):
        load_modules(["shop_none.x"])


def test_a_module_that_lacks_something_itself_raises_what_it_raised(project: Path):
    (project / "shop_broken.py").write_text("import shop_absent\n")
    with pytest.raises(ModuleNotFoundError, match="shop_absent"):
        load_modules(["shop_broken"])


def test_modules_without_a_worker_are_an_error(project: Path):
    (project / "shop_empty.py").write_text("")
    with pytest.raises(ConfigError, match="no @worker in shop_empty"):
        load_modules(["shop_empty"])


def test_a_worker_that_cannot_be_one_is_told_with_its_line(project: Path):
    (project / "shop_names.py").write_text("from runner import worker\n\n\n@worker('My First')\ndef f(): ...\n")
    with pytest.raises(ConfigError, match=r"^shop_names\.py:4: 'My First' cannot be the name of a worker"):
        load_modules(["shop_names"])
