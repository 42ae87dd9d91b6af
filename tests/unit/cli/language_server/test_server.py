"""`sagarun lsp`, spoken to by a real client over its standard streams."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from lsprotocol import types

ROOT = Path(__file__).parents[4]
ORDER = (ROOT / "definitions/order.yaml").read_text()


def _editor_module() -> ModuleType:
    """editor.py, which lies beside this file: test folders are no packages."""
    spec = importlib.util.spec_from_file_location("a_test_editor", Path(__file__).with_name("editor.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shop")
    for folder in ("definitions", "schemas", "workers"):
        shutil.copytree(ROOT / folder, root / folder)
    shutil.copy(ROOT / "sagarun.yaml", root)
    return root


@pytest.fixture(scope="module")
def editor(project: Path) -> Iterator[Any]:
    made = _editor_module().Editor(project)
    yield made
    made.close()


@pytest.fixture
def file(project: Path) -> Path:
    return project / "definitions/order.yaml"


def labels(items: list[types.CompletionItem]) -> list[str]:
    return [item.label for item in items]


def test_a_sound_file_has_no_findings_and_a_slip_is_found_while_it_is_typed(editor: Any, file: Path):
    assert editor.open(file) == []
    wrong = ORDER.replace("steps.validate.output.total", "steps.valdiate.output.total")
    (found,) = editor.type(file, wrong)
    assert (found.code, found.source, found.severity) == ("SR204", "sagarun", types.DiagnosticSeverity.Error)
    assert found.message.startswith('no step "valdiate" before "charge" (did you mean "validate"?')
    line = wrong.splitlines()[found.range.start.line]
    assert line[found.range.start.character : found.range.end.character] == "valdiate"
    assert editor.type(file, ORDER) == []


def test_a_finding_is_mended_by_a_quick_fix(editor: Any, file: Path):
    (found,) = editor.open(file, ORDER.replace("steps.validate.output.total", "steps.valdiate.output.total"))
    (action,) = editor.mend(file, found)
    (edit,) = action.edit.changes[file.as_uri()]
    assert (action.title, edit.new_text, edit.range) == ("Write validate", "validate", found.range)


def test_places_count_as_the_protocol_counts_them(editor: Any, file: Path):
    wrong = ORDER.replace("summary: Validate", "summary: 😀 Validate").replace(
        'order: "{{ input.order_id }}", items', 'order: "😀 {{ inptu.order_id }}", items'
    )
    (found,) = editor.open(file, wrong)
    line = wrong.splitlines()[found.range.start.line].encode("utf-16-le")
    word = line[2 * found.range.start.character : 2 * found.range.end.character].decode("utf-16-le")
    assert word == "inptu"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ('      amount: "{{ steps.', ["validate", "reserve"]),
        ('      amount: "{{ steps.validate.output.', ["total", "currency", "pieces"]),
        ('      amount: "{{ steps.validate.', ["output", "status", "error"]),
        ('      amount: "{{ input.payment.', ["method", "token"]),
        ('      amount: "{{ step.', ["ref", "id"]),
        ("      ", ["amount"]),  # the arguments that are not given yet
    ],
)
@pytest.mark.parametrize("rest", ['"\n', " }}\"\n", "\n"])
def test_what_can_be_read_is_completed_with_its_type(
    editor: Any, file: Path, written: str, expected: list[str], rest: str
):
    editor.open(file, ORDER.replace('      amount: "{{ steps.validate.output.total }}"\n', f"{written}{rest}"))
    found = editor.complete(file, f'order: "{{{{ input.order_id }}}}"\n{written}' if written.isspace() else written)
    assert labels(found) == expected


def test_a_property_has_its_type_and_its_description(editor: Any, file: Path):
    editor.open(file, ORDER.replace("{{ input.payment.token }}", "{{ input.payment. }}"))
    token = editor.complete(file, "{{ input.payment.")[1]
    assert (token.label, token.detail) == ("token", "string")
    assert "as the gateway named it" in token.documentation.value


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("    on_unknown: verify", "    on_unknown: ", ["compensate", "verify", "retry", "halt"]),
        ("raises: [card_declined]", "raises: [", ["invalid_order", "out_of_stock", "card_declined"]),
        ("defaults: {timeout: 10s, retry: quick}", "defaults: {timeout: 10s, retry: ", ["quick", "patient"]),
        ("\nsteps:\n", "\nsteps:\n  - ", ["id", "worker", "steps"]),
        ("    timeout: 8s\n", "    timeout: 8s\n    q", ["when", "summary", "catch"]),
    ],
)
def test_keys_and_choices_are_completed_by_the_schema(
    editor: Any, file: Path, old: str, new: str, expected: list[str]
):
    tail = {"raises: [": "]", "defaults: {timeout: 10s, retry: ": "}"}.get(new, "\n")
    editor.open(file, ORDER.replace(old, new + tail, 1))
    found = editor.complete(file, new)
    assert labels(found)[: len(expected)] == expected
    assert "worker" not in labels(found) or new.startswith("\nsteps")  # a step does one thing only


def test_workers_are_completed_with_their_contract_and_put_in_the_place_of_the_word(editor: Any, file: Path):
    editor.open(file, ORDER.replace("    worker: payments.charge\n", "    worker: pay\n"))
    found = {item.label: item for item in editor.complete(file, "    worker: pay")}
    assert {"payments.charge", "http.request", "inventory.reserve"} <= found.keys()
    charge = found["payments.charge"]
    assert "Charge a card" in charge.documentation.value
    assert charge.text_edit.new_text == "payments.charge"
    assert charge.text_edit.range.end.character - charge.text_edit.range.start.character == 3


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("payments.charge", "Charge a card, once however often it is asked."),
        ("validate.output.total", "steps.validate.output"),
        ("on_unknown", "nobody knows whether it took effect"),
        ("card_declined]", "Card declined"),
        ("  currency:", "`currency`: string"),
    ],
)
def test_hover_tells_what_a_word_means(editor: Any, file: Path, word: str, told: str):
    editor.open(file, ORDER)
    assert told in editor.hover(file, word).contents.value


def test_hover_over_a_finding_explains_its_rule(editor: Any, file: Path):
    editor.open(file, ORDER.replace("steps.validate.output.total", "steps.valdiate.output.total"))
    assert "SR204: No such step before this one" in editor.hover(file, "valdiate").contents.value


@pytest.mark.parametrize(
    ("word", "leads_to", "line"),
    [
        ("payments.charge", "workers/payments.py", '@worker("payments.charge"'),
        ("steps.validate", "definitions/order.yaml", "- id: validate"),
        ("input.payment.token", "schemas/order.schema.json", '"payment"'),
        ("token }}", "schemas/order.schema.json", '"token"'),
        ("order.schema.json}", "schemas/order.schema.json", "{"),
        ("card_declined]", "definitions/order.yaml", "card_declined: {title"),
        ("quick}", "definitions/order.yaml", "quick: {max_attempts"),
    ],
)
def test_a_definition_is_gone_to(editor: Any, file: Path, project: Path, word: str, leads_to: str, line: str):
    editor.open(file, ORDER)
    found = editor.define(file, word)
    assert found.uri == (project / leads_to).as_uri()
    assert line in (project / leads_to).read_text().splitlines()[found.range.start.line]


def test_a_file_is_formatted(editor: Any, file: Path):
    editor.open(file, ORDER.replace("    worker: payments.charge\n", "    worker:   payments.charge\n"))
    (edit,) = editor.format(file)
    assert edit.new_text == ORDER
    editor.open(file, ORDER)
    assert not editor.format(file)
    editor.open(file, "steps: [")
    assert editor.format(file) is None


def test_a_test_file_is_checked_and_other_files_are_not(editor: Any, project: Path):
    (found, *_) = editor.open(project / "definitions/order.test.yaml", "definition: nowhere.yaml\ncases: []\n")
    assert found.code.startswith("SR1")
    compose = project / "docker-compose.yaml"
    compose.write_text("services: {}\n")
    assert editor.open(compose) == []


def test_what_was_saved_beside_it_is_seen(editor: Any, file: Path, project: Path):
    assert editor.open(file, ORDER) == []
    lock = project / "schemas/workers.json"
    before = lock.read_text()
    lock.write_text(before.replace('"payments.charge"', '"payments.take"'))
    assert [found.code for found in editor.save(file)] == ["SR201"]
    lock.write_text(before)
    assert editor.save(file) == []


def test_without_contracts_it_says_so_once_and_runs_no_code(editor: Any, tmp_path: Path):
    (tmp_path / "definitions").mkdir()
    (tmp_path / "workers.py").write_text("raise SystemExit('never imported')")
    (tmp_path / "sagarun.yaml").write_text("project: bare\nworkers: [workers]\n")
    bare = tmp_path / "definitions/a.yaml"
    bare.write_text("workflow: a\nversion: 1.0.0\nsteps:\n  - {id: b, worker: c.d, kind: readonly}\n")
    assert editor.open(bare) == []
    assert editor.save(bare) == []
    assert [message for message in editor.messages if "bare" in message] == [
        "sagarun: bare: workers are neither checked nor completed; run: sagarun workers export"
    ]


def test_without_the_extra_the_command_says_what_to_install(tmp_path: Path):
    (tmp_path / "pygls.py").write_text("raise ModuleNotFoundError('No module named pygls', name='pygls')")
    done = subprocess.run(
        [sys.executable, "-c", "from runner.cli.main import main; main()", "lsp"],
        env={"PYTHONPATH": f"{tmp_path}:{ROOT}"}, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: the language server is in the extra lsp: pip install 'sagarun[lsp]'\n"
