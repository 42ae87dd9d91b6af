"""What is rendered for a start, from the input alone: the run's id, its key, its slot."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from runner.definition.model import Concurrency, Definition
from runner.errors import InputError
from runner.starting import check_key, derived_run_id, key_of, new_run, random_run_id, slot_of
from runner.store.ports import Slot


def definition(key: str | None = None, *, limit: int = 2, on_limit: Any = "queue", **fields: Any) -> Definition:
    return Definition("order", "1.0.0", (), concurrency=Concurrency(limit, key, on_limit), digest="abc", **fields)


def test_the_id_of_a_run_with_a_key_is_the_same_for_ever():
    assert derived_run_id("shop", "order", "A-1") == derived_run_id("shop", "order", "A-1")
    assert len({derived_run_id("shop", "order", key) for key in ("A-1", "A-2", "")}) == 3


def test_the_id_of_a_run_without_a_key_is_another_each_time():
    assert random_run_id() != random_run_id()
    assert len(random_run_id()) == 16


def test_a_run_to_be_says_in_its_list_line_and_in_its_first_event_what_it_is():
    run = new_run("shop", definition(summary="Sell"), {"id": 1}, "A-1", rerun_of="before", by="me@here")
    about, started = msgspec.json.decode(run.summary), msgspec.json.decode(run.body)
    assert about == {
        "workflow": "order", "version": "1.0.0", "definition": "abc", "key": "A-1", "rerun_of": "before",
        "summary": "Sell",
    }
    assert (started["run_id"], started["input"], started["by"]) == (run.run_id, {"id": 1}, "me@here")
    assert run.slot is None


@pytest.mark.parametrize("value", [{"id": "A-1"}, {"id": 7}])
def test_a_key_is_made_of_the_input(value: dict[str, Any]):
    assert key_of(definition(idempotency_key="{{ input.id }}"), value) == str(value["id"])


def test_a_key_that_is_too_long_is_refused():
    with pytest.raises(InputError, match="at most 256"):
        check_key("x" * 257)


# -- slots --------------------------------------------------------------------------------------------
def test_without_concurrency_no_slot_is_needed():
    assert slot_of(Definition("order", "1.0.0", ()), {}) is None


def test_without_a_key_all_runs_of_a_workflow_share_one_slot():
    assert slot_of(definition(), {"region": "EU"}) == Slot("order", 2)


@pytest.mark.parametrize("value", ["EU", 7, "a|b", "é"])
def test_with_a_key_each_of_its_values_has_a_slot(value: str | int):
    made = slot_of(definition("{{ input.region }}", on_limit="reject"), {"region": value})
    assert made == Slot(f"order:{value}", 2, "reject")


@pytest.mark.parametrize("value", [None, True, "", 1.5, [1], {}, "two\nlines", "x" * 257])
def test_a_key_of_concurrency_has_to_be_short_text_or_a_whole_number(value: Any):
    with pytest.raises(InputError, match="key of concurrency"):
        slot_of(definition("{{ input.region }}"), {"region": value})


def test_a_key_of_concurrency_that_the_input_does_not_have_is_refused():
    with pytest.raises(InputError, match="the key of concurrency cannot be made of it"):
        slot_of(definition("{{ input.region }}"), {})
