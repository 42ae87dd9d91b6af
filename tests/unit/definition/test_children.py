"""The workflows that steps start: found by name beside the file, checked with it, and pinned."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from runner.catalogue import Catalogue
from runner.definition.children import MAX_DEPTH, has_pivot
from runner.definition.load import load, load_text, parse_document
from runner.definition.model import ChildAction, Definition
from runner.errors import DefinitionError
from runner.store.memory.store import MemoryStore

WORKER = "{id: a, worker: t.do, kind: readonly}"
PIVOT = "{id: p, worker: t.do, kind: pivot}"


class Folder:
    """A folder of definitions, written as they are needed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, workflow: str, *steps: str, version: str = "1.0.0", file: str = "") -> None:
        text = f"workflow: {workflow}\nversion: {version}\nsteps:\n" + "".join(f"  - {step}\n" for step in steps)
        (self.path / (file or f"{workflow}.yaml")).write_text(text)

    def load(self, workflow: str) -> Definition:
        return load(self.path / f"{workflow}.yaml", root=self.path)

    def refusal(self, workflow: str) -> str:
        with pytest.raises(DefinitionError) as refused:
            self.load(workflow)
        return "\n".join(str(problem) for problem in refused.value.problems)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def child_of(definition: Definition, step: int = 0) -> ChildAction:
    action = definition.steps[step].action
    assert isinstance(action, ChildAction)
    return action


def starts(workflow: str, id: str = "sub", more: str = "") -> str:
    return f"{{id: {id}, subworkflow: {workflow}{more}}}"


# -- what is found ------------------------------------------------------------------------------------
def test_a_child_is_found_by_its_workflow_name_and_pinned_by_its_digest(folder: Folder) -> None:
    folder.write("payment", WORKER, version="2.1.0", file="named_otherwise.yml")
    folder.write("order", starts("payment", more=', with: {a: "{{ input.x }}"}'))
    child = load(folder.path / "named_otherwise.yml", root=folder.path)
    action = child_of(folder.load("order"))
    assert (action.workflow, action.version, action.digest) == ("payment", "2.1.0", child.digest)
    assert (action.with_, action.compensate, action.has_pivot) == ({"a": "{{ input.x }}"}, None, False)


def test_another_child_makes_another_parent(folder: Folder) -> None:
    folder.write("payment", WORKER)
    folder.write("order", starts("payment"))
    before = folder.load("order")
    folder.write("payment", WORKER, "{set: {b: 1}}")
    assert folder.load("order").digest != before.digest


def test_a_stored_parent_knows_its_child_without_any_file(folder: Folder) -> None:
    folder.write("payment", WORKER)
    folder.write("order", starts("payment", more=", compensate: {worker: t.undo}"))
    order = folder.load("order")
    stored = parse_document(msgspec.json.decode(msgspec.json.encode(order.document)))
    assert stored == order
    assert stored.children == {}


def test_all_that_may_be_started_below_is_at_hand_and_is_stored_with_the_parent(folder: Folder) -> None:
    folder.write("gateway", WORKER)
    folder.write("payment", starts("gateway"))
    folder.write("refund", starts("gateway"))
    folder.write("order", starts("payment", "one"), starts("refund", "two"), starts("payment", "three"))
    order = folder.load("order")
    assert sorted(child.workflow for child in order.children.values()) == ["gateway", "payment", "refund"]
    store = MemoryStore()
    Catalogue(store).put(order)
    for digest, child in order.children.items():
        document = store.get_definition(digest)
        assert document is not None
        assert parse_document(msgspec.json.decode(document)) == child


def test_a_text_finds_its_children_beside_the_file_that_it_names(folder: Folder) -> None:
    (folder.path / "definitions").mkdir()
    Folder(folder.path / "definitions").write("payment", WORKER)
    text = f"workflow: order\nversion: '1'\nsteps: [{starts('payment')}]\n"
    assert load_text(text, file="definitions/order.yaml", root=folder.path).children
    with pytest.raises(DefinitionError, match="SR117"):
        load_text(text, file="order.yaml", root=folder.path)


def test_of_several_versions_the_one_that_is_asked_for_is_started(folder: Folder) -> None:
    folder.write("payment", WORKER, version="1.0.0", file="old.yaml")
    folder.write("payment", WORKER, version="2.0.0", file="new.yaml")
    folder.write("order", starts("payment", more=", version: 1.0.0"))
    assert child_of(folder.load("order")).version == "1.0.0"
    folder.write("order", starts("payment", more=", version: 3.0.0"))
    assert '"payment" has no version "3.0.0" here (there is: new.yaml (2.0.0), old.yaml (1.0.0))' in (
        folder.refusal("order"))
    folder.write("order", starts("payment"))
    assert "several definitions are of" in folder.refusal("order")


def test_tests_of_definitions_and_links_that_lead_elsewhere_are_no_children(folder: Folder, tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    Folder(tmp_path).write("payment", WORKER)
    (inside / "payment.yaml").symlink_to(tmp_path / "payment.yaml")
    Folder(inside).write("payment", WORKER, file="payment.test.yaml")
    Folder(inside).write("order", starts("payment"))
    assert "SR117" in Folder(inside).refusal("order")


# -- pivots -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("step", "is_one"),
    [
        (WORKER, False), (PIVOT, True), (f"{{id: b, steps: [{PIVOT}]}}", True),
        (f"{{id: b, steps: [{WORKER}], catch: [{{steps: [{PIVOT}]}}]}}", True),
        (f"{{id: s, switch: [{{else: [{PIVOT}]}}]}}", True),
    ],
)
def test_a_child_with_a_point_of_no_return_is_known_for_one(folder: Folder, step: str, is_one: bool) -> None:
    folder.write("payment", step)
    folder.write("order", starts("payment"))
    order = folder.load("order")
    assert child_of(order).is_pivot is is_one
    assert has_pivot(order) is is_one
    folder.write("shop", starts("order"))
    assert child_of(folder.load("shop")).is_pivot is is_one


def test_a_compensation_of_the_steps_own_makes_a_pivot_one_that_can_be_undone(folder: Folder) -> None:
    folder.write("payment", PIVOT)
    folder.write("order", starts("payment", more=", compensate: {worker: t.undo, with: {a: 1}}"))
    order = folder.load("order")
    action = child_of(order)
    assert action.has_pivot
    assert not action.is_pivot
    assert action.compensate is not None
    assert (action.compensate.worker, action.compensate.retry.max_attempts) == ("t.undo", 12)
    assert not has_pivot(order)


# -- what is refused ----------------------------------------------------------------------------------
def test_a_child_that_is_not_there_is_said_with_what_may_have_been_meant(folder: Folder) -> None:
    folder.write("payment", WORKER)
    folder.write("order", starts("paymant"))
    assert 'is of a workflow "paymant" (did you mean "payment"?)' in folder.refusal("order")
    folder.write("order", starts("zebra"))
    assert "(there are: order, payment)" in folder.refusal("order")


def test_a_workflow_that_starts_itself_is_refused(folder: Folder) -> None:
    folder.write("order", starts("order"))
    assert "SR118]: a workflow cannot be part of itself: order → order" in folder.refusal("order")


def test_workflows_that_start_each_other_are_refused_where_the_circle_closes(folder: Folder) -> None:
    folder.write("a", starts("b"))
    folder.write("b", starts("c"))
    folder.write("c", WORKER, starts("a"))
    told = folder.refusal("a")
    assert "c.yaml:5:" in told
    assert "a workflow cannot be part of itself: a → b → c → a" in told


def test_what_is_wrong_with_a_child_is_said_in_its_own_file(folder: Folder) -> None:
    folder.write("payment", "{id: a, worker: t.do, kind: redonly}")
    folder.write("order", starts("payment"))
    told = folder.refusal("order")
    assert "payment.yaml:4:" in told
    assert "SR104" in told


def test_a_child_that_is_no_yaml_is_said_to_be_none(folder: Folder) -> None:
    (folder.path / "payment.yaml").write_text("workflow: payment\nsteps: [\n")
    folder.write("order", starts("payment"))
    assert "payment.yaml:3:1: error[SR001]" in folder.refusal("order")


def test_files_that_cannot_be_read_and_are_not_meant_are_nobodys_business(folder: Folder) -> None:
    (folder.path / "broken.yaml").write_text("steps: [ payment\n")
    (folder.path / "list.yaml").write_text("- payment\n")
    (folder.path / "folder.yaml").mkdir()
    folder.write("payment", WORKER)
    folder.write("order", starts("payment"))
    assert len(folder.load("order").children) == 1


@pytest.mark.parametrize(("length", "is_fine"), [(MAX_DEPTH, True), (MAX_DEPTH + 1, False)])
def test_children_go_only_so_deep(folder: Folder, length: int, is_fine: bool) -> None:
    for number in range(length):
        folder.write(f"w{number}", starts(f"w{number + 1}"))
    folder.write(f"w{length}", WORKER)
    if is_fine:
        assert len(folder.load("w0").children) == length
    else:
        assert "SR113]: workflows start each other more than 16 deep" in folder.refusal("w0")


def test_a_pin_holds_the_definition_to_its_content(folder: Folder) -> None:
    folder.write("payment", WORKER)
    digest = folder.load("payment").digest
    pinned = "{{id: sub, subworkflow: {{workflow: payment, version: 1.0.0, digest: {}}}}}"
    folder.write("order", pinned.format(digest))
    assert child_of(folder.load("order")).digest == digest
    folder.write("order", pinned.format("ab" * 32))
    assert "is not the one that is pinned" in folder.refusal("order")


def test_a_child_in_finally_or_with_nothing_for_an_undo_is_refused(folder: Folder) -> None:
    folder.write("payment", WORKER)
    text = f"workflow: order\nversion: '1'\nsteps: [{starts('payment', 'one', ', compensate: none')}]\n"
    (folder.path / "order.yaml").write_text(f"{text}finally: [{{id: b, steps: [{starts('payment')}]}}]\n")
    told = folder.refusal("order")
    assert 'SR107]: "none" is for worker steps only' in told
    assert "SR119]: a subworkflow in finally" in told
