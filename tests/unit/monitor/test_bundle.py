"""A bundle holds all that is needed to look at a run elsewhere, and nothing that is secret."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from runner.archive.archiver import make_bundle
from runner.interpreter.replay import differences, replay
from runner.monitor.bundle import Bundle, read_bundle
from runner.monitor.views import view_run
from tests.desk import ORDER, Desk

MARKED = "    card: {type: string, x-secret: true}\n    pin: {type: integer, x-secret: true}\n"
SECRET = ORDER.replace("    fail:", f"{MARKED}    fail:").replace("with: {id: gift}", 'with: {id: "{{ input.card }}"}')


def exported(desk: Desk, run_id: str) -> Bundle:
    return read_bundle(make_bundle(desk.client, run_id).encoded())


@pytest.mark.parametrize("fail", ["", "declined", "undo"])
def test_an_exported_run_is_shown_and_replayed_without_a_store(tmp_path: Path, fail: str):
    desk = Desk(tmp_path)
    run_id = desk.run(fail=fail)
    bundle = exported(desk, run_id)
    plan, run = bundle.plan(), bundle.run()
    assert plan is not None
    assert run is not None
    *_, (_, replayed) = replay(plan, bundle.events())
    assert differences(replayed, run) == []
    there = view_run(desk.client.stored(run_id), run, plan, bundle.events())
    here = view_run(bundle.stored(), run, plan, bundle.events())
    assert (here.status, here.steps, here.error, here.input) == (there.status, there.steps, there.error, there.input)


def test_a_bundle_names_what_stopped_the_run(tmp_path: Path):
    desk = Desk(tmp_path)
    (group,) = exported(desk, desk.run(fail="declined")).stopped_by
    assert group == desk.store.fault_groups()[0].group


def test_the_contracts_of_its_workers_are_in_it(tmp_path: Path):
    desk = Desk(tmp_path)
    desk.store.put_workers({"other.work": b"{}"})
    contracts = exported(desk, desk.run()).contracts
    assert set(contracts) == {"card.charge", "card.refund", "stock.release", "stock.reserve"}
    assert contracts["card.charge"]["raises"] == ["declined"]


def test_nothing_secret_is_in_it(tmp_path: Path):
    assert SECRET != ORDER
    desk = Desk(tmp_path, SECRET)
    run_id = desk.run(card="tok_visible", pin=1, fail="declined", amount=200)
    bundle = exported(desk, run_id)
    assert bundle.redacted
    assert desk.calls[1] == "reserve tok_visible"
    assert b"tok_visible" not in bundle.encoded()
    assert bundle.input["card"] == "***"
    *_, (_, run) = replay(bundle.plan(), bundle.events())  # type: ignore[arg-type]
    assert differences(run, bundle.run()) == []  # type: ignore[arg-type]


def test_a_run_that_no_engine_took_up_is_exported_with_its_input(tmp_path: Path):
    desk = Desk(tmp_path)
    bundle = exported(desk, desk.start(amount=7).id)
    assert (bundle.status, bundle.run(), bundle.input["amount"]) == ("pending", None, 7)
    assert bundle.events() == []


@pytest.mark.parametrize(("data", "said"), [
    (b"nonsense", "no bundle of a run"), (b"{}", "no bundle of a run"), (b"[]", "no bundle"),
])  # fmt: skip
def test_what_is_no_bundle_is_refused(data: bytes, said: str):
    with pytest.raises(ValueError, match=said):
        read_bundle(data)


def test_another_format_or_a_newer_version_is_refused(tmp_path: Path):
    desk = Desk(tmp_path)
    bundle = exported(desk, desk.run())
    with pytest.raises(ValueError, match="version 9"):
        read_bundle(msgspec.structs.replace(bundle, version=9).encoded())
    with pytest.raises(ValueError, match="its format is 'x'"):
        read_bundle(msgspec.structs.replace(bundle, format="x").encoded())
