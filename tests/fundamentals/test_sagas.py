"""What a saga is, one idea a test. Read these first.

Each test is a small definition, the workers it needs, and what came of it. Everything is real but Redis and time:
`run_workflow` runs the interpreter, the engine and the workers over a store in memory, and skips the waits.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner import BusinessError, Context, Landed, NoEffectError, NotLanded
from runner.testing import TestRun, run_workflow

Saga = Callable[..., TestRun]


@pytest.fixture
def saga(tmp_path: Path) -> Saga:
    """saga(yaml, input, **workers by short name) runs it."""

    def run(text: str, input: Any = None, **workers: Callable[..., Any]) -> TestRun:
        path = tmp_path / "saga.yaml"
        path.write_text(f"workflow: saga\nversion: 1.0.0\n{text}")
        named = {name.replace("_", ".", 1): function for name, function in workers.items()}
        return run_workflow(path, input, workers={**quiet(), **named}, root=tmp_path)

    return run


def quiet() -> dict[str, Callable[..., Any]]:
    """Workers that do what they are asked and say nothing."""

    def make() -> Callable[..., Any]:
        def does_it(**given: Any) -> Any:
            return given

        return does_it

    names = ("stock.reserve", "stock.release", "card.charge", "card.refund", "card.look", "parcel.send", "parcel.stop")
    return {name: make() for name in names}


ORDER = """
defaults: {retry: {max_attempts: 2, initial: 1s}}
steps:
  - {id: reserve, worker: stock.reserve, compensate: {worker: stock.release}}
  - {id: charge, worker: card.charge, compensate: {worker: card.refund}, raises: [declined]}
  - {id: send, worker: parcel.send, compensate: {worker: parcel.stop}, raises: [refused]}
"""


def test_steps_run_one_after_another(saga: Saga) -> None:
    run = saga(ORDER)
    assert run.status == "completed"
    assert run.calls == ("stock.reserve", "card.charge", "parcel.send")


def test_when_a_step_says_no_what_was_done_before_is_undone_last_first(saga: Saga) -> None:
    def refuse() -> None:
        raise BusinessError("refused", "nobody lives there")

    run = saga(ORDER, parcel_send=refuse)
    assert run.status == "compensated"
    assert run.calls == ("stock.reserve", "card.charge", "parcel.send", "card.refund", "stock.release")
    assert run.error is not None
    assert run.error.code == "refused"


def test_no_answer_is_not_a_no_so_the_step_itself_is_undone_too(saga: Saga) -> None:
    """The connection broke: perhaps the card was charged. Only a BusinessError or a NoEffectError is a clean no."""

    def hang_up() -> None:
        raise ConnectionResetError("no answer")

    run = saga(ORDER, card_charge=hang_up)
    assert run.calls == ("stock.reserve", "card.charge", "card.charge", "card.refund", "stock.release")


def test_a_technical_failure_is_tried_again_with_the_same_idempotency_key(saga: Saga) -> None:
    keys = []

    def flaky(ctx: Context) -> None:
        keys.append(ctx.idempotency_key)
        if len(keys) == 1:
            raise NoEffectError("connection refused")

    run = saga(ORDER, card_charge=flaky)
    assert run.status == "completed"
    assert keys == ["testrun/charge:action"] * 2


def test_a_step_can_ask_what_became_of_it_instead_of_guessing(saga: Saga) -> None:
    text = """
steps:
  - id: charge
    worker: card.charge
    with: {ref: "{{ step.ref }}"}
    verify: {worker: card.look, with: {ref: "{{ step.ref }}"}}
    compensate: {worker: card.refund, with: {ref: "{{ step.ref }}"}}
"""
    ledger = set()

    def charge(ref: str) -> None:
        ledger.add(ref)
        raise TimeoutError("the answer never came")

    def look(ref: str) -> Landed | NotLanded:
        return Landed({"payment": 7}) if ref in ledger else NotLanded()

    run = saga(text, card_charge=charge, card_look=look)
    assert run.status == "completed"
    assert run.calls == ("card.charge", "card.look")


def test_one_step_hands_its_output_to_the_next(saga: Saga) -> None:
    text = """
steps:
  - {id: price, worker: card.look, with: {items: "{{ input.items }}"}, kind: readonly}
  - id: charge
    worker: card.charge
    with: {amount: "{{ steps.price.output.total }}"}
    compensate: {worker: card.refund}
output: {charged: "{{ steps.charge.output.amount }}"}
"""

    def look(items: list[int]) -> dict[str, int]:
        return {"total": sum(items)}

    run = saga(text, {"items": [1, 2, 3]}, card_look=look)
    assert run.output == {"charged": 6}


def test_a_step_is_skipped_when_its_condition_is_false(saga: Saga) -> None:
    text = """
steps:
  - {id: wrap, worker: stock.reserve, when: "{{ input.gift }}", compensate: {worker: stock.release}}
  - id: send
    worker: parcel.send
    with: {wrap: "{{ steps.wrap.output | default('no') }}"}
    compensate: {worker: parcel.stop}
"""
    run = saga(text, {"gift": False})
    assert run.calls == ("parcel.send",)
    assert run.steps["wrap"] == "skipped"


def test_a_block_can_be_rolled_back_and_another_way_be_taken(saga: Saga) -> None:
    text = """
steps:
  - id: deliver
    steps:
      - {id: reserve, worker: stock.reserve, compensate: {worker: stock.release}}
      - {id: send, worker: parcel.send, compensate: {worker: parcel.stop}, raises: [refused]}
    catch:
      - errors: [refused]
        steps:
          - {id: refund, worker: card.refund, kind: readonly}
"""

    def refuse() -> None:
        raise BusinessError("refused")

    run = saga(text, parcel_send=refuse)
    assert run.status == "completed"
    assert run.calls == ("stock.reserve", "parcel.send", "stock.release", "card.refund")


def test_after_the_pivot_a_run_only_goes_forward(saga: Saga) -> None:
    text = """
steps:
  - {id: reserve, worker: stock.reserve, compensate: {worker: stock.release}}
  - {id: charge, worker: card.charge, kind: pivot}
  - {id: send, worker: parcel.send, kind: retriable}
compensation: {retry: {max_attempts: 20}}
"""
    attempts = []

    def flaky() -> None:
        attempts.append(1)
        if len(attempts) < 9:
            raise OSError("the carrier is down")

    run = saga(text, parcel_send=flaky)
    assert run.status == "completed"
    assert run.calls == ("stock.reserve", "card.charge", *["parcel.send"] * 9)


def test_when_an_undo_does_not_succeed_a_person_is_told_and_nothing_is_hidden(saga: Saga) -> None:
    def refuse() -> None:
        raise BusinessError("refused")

    def stay() -> None:
        raise BusinessError("gateway_closed")

    run = saga(ORDER, parcel_send=refuse, card_refund=stay)
    assert run.status == "stuck"
    assert run.steps["charge"] == "compensation_failed"
    assert run.steps["reserve"] == "completed"  # nothing before it is undone until a person has acted


def test_finally_steps_run_whatever_happened(saga: Saga) -> None:
    text = (
        ORDER
        + """
finally:
  - {id: record, worker: card.look, with: {status: "{{ run.status }}"}, kind: retriable}
"""
    )
    seen = []

    def record(status: str) -> None:
        seen.append(status)

    def refuse() -> None:
        raise BusinessError("refused")

    saga(text, card_look=record)
    saga(text, card_look=record, parcel_send=refuse)
    assert seen == ["completed", "compensated"]
