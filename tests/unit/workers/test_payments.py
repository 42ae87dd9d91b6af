"""The cash desk, over a real gateway: charged once, found again after a silence, and never charged after the undo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.unit.workers.asking import Ended, ask
from workers import shop
from workers.gateway import client, process

REF = "run/charge"


@pytest.fixture(autouse=True)
def _running(gateway: str) -> None:
    """Every test here has a gateway."""


def charge(token: str = "tok_valid", *, ref: str = REF, amount: int = 500) -> Ended:
    given = {"payment_ref": ref, "order": "ORD-1", "amount": amount, "currency": "USD", "token": token}
    return ask("payments.charge", ref=ref, **given)


def lookup(*, ref: str = REF, fencing: bool = False) -> Ended:
    return ask("payments.lookup", ref=ref, phase="verify", fencing=fencing, payment_ref=ref, order="ORD-1")


def refund(*, ref: str = REF) -> Ended:
    return ask("payments.refund", ref=ref, phase="compensate", payment_ref=ref, order="ORD-1")


def authorise(token: str = "tok_valid") -> Ended:
    given = {"payment_ref": REF, "order": "ORD-1", "amount": 500, "currency": "USD", "token": token}
    return ask("payments.authorise", ref=REF, **given)


def capture() -> Ended:
    return ask("payments.capture", ref="run/capture", payment_ref=REF, order="ORD-1")


def captured() -> Ended:
    return ask("payments.captured", ref="run/capture", phase="verify", payment_ref=REF, order="ORD-1")


def void() -> Ended:
    return ask("payments.void", ref=REF, phase="compensate", payment_ref=REF)


def books(gateway: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{gateway}/v1/ledger?reference=ORD-1", trust_env=False).json()
    return found


def paid() -> int:
    """What the shop's own books say."""
    standing = shop.standing().get("ORD-1")
    return 0 if standing is None else standing.paid


def test_a_valid_card_is_charged_and_booked(gateway: str):
    ended = charge()
    assert (ended.output["amount"], ended.output["currency"]) == (500, "USD")
    assert (books(gateway)["taken"], paid()) == (500, 500)


def test_a_repeat_is_answered_with_the_same_payment(gateway: str):
    assert charge().output == charge().output
    assert (books(gateway)["taken"], paid()) == (500, 500)


def test_a_declined_card_is_a_definite_no(gateway: str):
    ended = charge("tok_declined")
    assert (ended.outcome, ended.code, ended.error and ended.error.message) == (
        "failed",
        "card_declined",
        "insufficient funds",
    )
    assert (books(gateway)["taken"], paid()) == (0, 0)


def test_an_unavailable_gateway_is_a_failure_without_effect(gateway: str):
    ended = charge("tok_unavailable")
    assert (ended.outcome, ended.code) == ("failed", "no_effect")
    assert books(gateway)["charges"] == []


def test_a_charge_that_landed_unanswered_is_unknown_and_the_lookup_finds_and_books_it(gateway: str):
    silent = charge("tok_no_answer_charged")
    assert (silent.outcome, silent.code, paid()) == ("unknown", "exception", 0)
    found = lookup()
    assert (found.verdict, found.output["amount"], paid()) == ("landed", 500, 500)
    assert charge("tok_no_answer_charged").output == found.output
    assert books(gateway)["taken"] == 500


def test_a_charge_that_was_lost_is_unknown_and_the_next_attempt_makes_it(gateway: str):
    assert charge("tok_no_answer_lost").outcome == "unknown"
    assert (lookup().verdict, lookup().fenced) == ("not_landed", False)
    assert charge("tok_no_answer_lost").outcome == "completed"
    assert books(gateway)["taken"] == 500


def test_the_last_lookup_keeps_a_late_charge_out(gateway: str):
    last = lookup(fencing=True)
    assert (last.verdict, last.fenced) == ("not_landed", True)
    late = charge()
    assert (late.outcome, late.code, books(gateway)["taken"]) == ("failed", "already_undone", 0)


def test_the_last_lookup_leaves_a_charge_that_landed_alone(gateway: str):
    charge()
    assert lookup(fencing=True).verdict == "landed"
    assert charge().outcome == "completed"
    assert books(gateway)["taken"] == 500


def test_a_declined_charge_did_not_land_and_the_next_attempt_may_say_why():
    charge("tok_declined")
    assert (lookup().verdict, lookup().fenced) == ("not_landed", False)
    assert (lookup(fencing=True).fenced, charge("tok_declined").code) == (True, "card_declined")


def test_a_refund_gives_everything_back_once(gateway: str):
    charge()
    first, second = refund(), refund()
    assert (first.output["amount"], second.output) == (500, first.output)
    assert (books(gateway)["taken"], len(books(gateway)["refunds"]), paid()) == (0, 1, 0)


def test_a_refund_of_a_charge_that_landed_unanswered_gives_it_back(gateway: str):
    charge("tok_no_answer_charged")
    assert refund().output["amount"] == 500
    assert (books(gateway)["taken"], paid()) == (0, 0)


def test_a_refund_before_the_charge_has_nothing_to_give_back(gateway: str):
    ended = refund()
    assert (ended.outcome, ended.output) == ("completed", {"refund_id": None, "amount": 0})
    assert books(gateway)["charges"] == []


@pytest.mark.parametrize("was_charged", [True, False])
def test_a_charge_that_arrives_after_its_refund_is_refused(gateway: str, was_charged: bool):
    if was_charged:
        charge()
    refund()
    late = charge()
    assert (late.outcome, late.code) == ("failed", "already_undone")
    assert (books(gateway)["taken"], paid()) == (0, 0)


def test_the_late_news_of_a_charge_does_not_make_a_refunded_payment_stand(monkeypatch: pytest.MonkeyPatch):
    """The attempt was answered 201, then it slept; the undo ran; now it wakes and writes into the shop's books."""
    charge_at_gateway = client.charge

    def answered_then_undone(*args: Any, **given: Any) -> dict[str, Any]:
        answer = charge_at_gateway(*args, **given)
        refund()
        return answer

    monkeypatch.setattr(client, "charge", answered_then_undone)
    charge()
    assert paid() == 0


def test_a_refund_that_is_held_is_refused_and_made_when_somebody_asks_again(gateway: str):
    charge("tok_refund_refused")
    refused = refund()
    assert (refused.outcome, refused.code, books(gateway)["taken"], paid()) == ("failed", "refund_refused", 500, 500)
    assert refund().output["amount"] == 500
    assert (books(gateway)["taken"], paid()) == (0, 0)


def test_a_part_is_given_back_once_and_the_rest_stands(gateway: str):
    given = {"refund_ref": "return/refund", "payment_id": charge().output["payment_id"], "amount": 200}
    outputs = [ask("payments.give_back", ref="return/refund", **given).output for _ in range(2)]
    assert (outputs[0]["amount"], outputs[1]) == (200, outputs[0])
    assert (books(gateway)["taken"], paid()) == (300, 300)


def test_more_than_was_paid_is_not_given_back():
    given = {"refund_ref": "return/refund", "payment_id": charge().output["payment_id"], "amount": 501}
    ended = ask("payments.give_back", ref="return/refund", **given)
    assert (ended.code, paid()) == ("refund_refused", 500)


def test_a_charge_with_a_key_that_meant_another_amount_is_unknown_and_changes_nothing(gateway: str):
    """A bug, then, and what the key stands for is not what was asked: nobody may conclude that nothing was charged."""
    charge(amount=500)
    assert charge(amount=600).outcome == "unknown"
    assert books(gateway)["taken"] == 500


def test_a_gateway_that_ended_is_started_again_and_remembers(ledger: Path):
    first = charge().output
    process.stop(ledger)
    assert charge().output == first


def test_an_authorisation_takes_nothing_until_it_is_captured(gateway: str):
    assert authorise().output["payment_ref"] == REF
    assert (books(gateway)["authorised"], books(gateway)["taken"], paid()) == (500, 0, 0)
    assert capture().output["amount"] == 500
    assert (books(gateway)["authorised"], books(gateway)["taken"], paid()) == (0, 500, 500)


def test_a_declined_authorisation_is_a_definite_no(gateway: str):
    ended = authorise("tok_declined")
    assert (ended.outcome, ended.code, books(gateway)["authorised"]) == ("failed", "card_declined", 0)


def test_a_voided_authorisation_cannot_be_captured_or_made_again(gateway: str):
    authorise()
    assert void().outcome == void().outcome == "completed"
    assert (captured().verdict, captured().fenced) == ("not_landed", True)
    assert authorise().code == "already_undone"
    assert (books(gateway)["authorised"], books(gateway)["taken"]) == (0, 0)


def test_a_void_before_the_authorisation_keeps_it_from_coming(gateway: str):
    void()
    assert (authorise().code, books(gateway)["authorised"]) == ("already_undone", 0)


def test_an_authorisation_without_an_answer_is_unknown_and_its_void_lets_go(gateway: str):
    assert authorise("tok_no_answer_charged").outcome == "unknown"
    assert books(gateway)["authorised"] == 500
    void()
    assert books(gateway)["authorised"] == 0


def test_a_capture_without_an_answer_is_found_and_booked(gateway: str):
    authorise("tok_no_answer_captured")
    assert (capture().outcome, paid()) == ("unknown", 0)
    assert (captured().verdict, paid()) == ("landed", 500)


def test_a_capture_that_has_not_landed_may_still_be_asked_for(gateway: str):
    authorise()
    assert (captured().verdict, captured().fenced) == ("not_landed", False)
    assert capture().outcome == "completed"
