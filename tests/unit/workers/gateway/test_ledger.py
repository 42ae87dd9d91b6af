"""The gateway's books: what a key means, it means for ever."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from workers.gateway.ledger import Answer, Ledger
from workers.opening import PAST_ORDERS


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "books" / "gateway.db"


@pytest.fixture
def books(path: Path) -> Iterator[Ledger]:
    ledger = Ledger(path)
    yield ledger
    ledger.close()


def charge(books: Ledger, key: str = "run/charge", *, amount: int = 500, token: str = "tok_valid") -> Answer:
    return books.charge(key, amount=amount, currency="USD", token=token, reference="ORD-1")


def code(answer: Answer) -> str:
    return str(answer.body["error"]["code"])


def total_taken(books: Ledger) -> int:
    return int(books.entries("ORD-1")["taken"])


def test_the_same_request_is_answered_the_same_and_charged_once(books: Ledger):
    first, second = charge(books), charge(books)
    assert (first.status, first.replayed, second.replayed) == (201, False, True)
    assert first.body == second.body
    assert total_taken(books) == 500


def test_a_key_cannot_be_used_for_another_request(books: Ledger):
    charge(books, amount=500)
    other = charge(books, amount=501)
    assert (other.status, code(other)) == (422, "key_reused")
    assert total_taken(books) == 500


@pytest.mark.parametrize("token", ["tok_declined", "tok_invalid_card", "tok_never_heard_of"])
def test_a_decline_is_the_answer_for_good(books: Ledger, token: str):
    first, second = charge(books, token=token), charge(books, token=token)
    assert (first.status, code(first), second.replayed) == (402, "card_declined", True)
    assert first.body == second.body
    assert books.find("run/charge").body["status"] == "declined"
    assert total_taken(books) == 0


def test_a_charge_that_never_came_is_not_found(books: Ledger):
    assert code(books.find("run/charge")) == "no_charge"


def test_a_charge_is_found_by_its_key(books: Ledger):
    made = charge(books).body
    assert books.find("run/charge").body == made


def test_a_sealed_key_takes_no_charge_any_more(books: Ledger):
    assert books.seal("run/charge").body["status"] == "sealed"
    late = charge(books)
    assert (late.status, code(late)) == (409, "key_sealed")
    assert total_taken(books) == 0


def test_sealing_the_key_of_a_charge_answers_the_charge_and_changes_nothing(books: Ledger):
    made = charge(books).body
    assert books.seal("run/charge").body == made
    assert charge(books).body == made


def test_a_cancelled_charge_is_given_back_once(books: Ledger):
    charge(books)
    first, second = books.cancel("run/charge", refund_key="r"), books.cancel("run/charge", refund_key="r")
    assert (first.status, first.body["status"], first.body["refund_amount"]) == (200, "refunded", 500)
    assert second.body == first.body
    assert len(books.entries("ORD-1")["refunds"]) == 1


def test_a_charge_is_given_back_once_also_under_two_refund_keys(books: Ledger):
    charge(books)
    first, second = books.cancel("run/charge", refund_key="r"), books.cancel("run/charge", refund_key="s")
    assert second.body["refund_id"] == first.body["refund_id"]
    assert len(books.entries("ORD-1")["refunds"]) == 1


def test_a_cancelled_key_takes_no_charge_any_more(books: Ledger):
    charge(books)
    books.cancel("run/charge", refund_key="r")
    assert code(charge(books)) == "key_sealed"
    assert total_taken(books) == 0


def test_cancelling_a_charge_that_never_came_closes_its_key(books: Ledger):
    empty = books.cancel("run/charge", refund_key="r")
    assert (empty.status, empty.body["status"], empty.body["refund_id"]) == (200, "sealed", None)
    assert code(charge(books)) == "key_sealed"
    assert books.entries("ORD-1")["charges"] == []


def test_cancelling_a_declined_charge_gives_nothing_back(books: Ledger):
    charge(books, token="tok_declined")
    assert books.cancel("run/charge", refund_key="r").body["refund_amount"] == 0
    assert books.entries()["refunds"] == []


def test_a_refund_key_belongs_to_one_charge(books: Ledger):
    charge(books, "run/a")
    charge(books, "run/b")
    books.cancel("run/a", refund_key="r")
    assert code(books.cancel("run/b", refund_key="r")) == "key_reused"
    assert total_taken(books) == 500


def test_a_part_is_given_back_once_for_each_key(books: Ledger):
    payment = charge(books).body["id"]
    first, repeat = (books.refund(payment, amount=200, refund_key="r") for _ in range(2))
    books.refund(payment, amount=100, refund_key="s")
    assert (first.status, repeat.replayed, repeat.body) == (201, True, first.body)
    assert total_taken(books) == 200


def test_a_refund_key_cannot_be_used_for_another_amount(books: Ledger):
    payment = charge(books).body["id"]
    books.refund(payment, amount=200, refund_key="r")
    assert code(books.refund(payment, amount=300, refund_key="r")) == "key_reused"


def test_no_more_is_given_back_than_was_taken(books: Ledger):
    payment = charge(books).body["id"]
    books.refund(payment, amount=300, refund_key="r")
    over = books.refund(payment, amount=201, refund_key="s")
    assert (code(over), over.body["error"]["details"]) == ("refund_exceeds_charge", {"left": 200})


def test_a_partly_refunded_charge_is_cancelled_for_the_rest(books: Ledger):
    payment = charge(books).body["id"]
    books.refund(payment, amount=200, refund_key="r")
    assert books.cancel("run/charge", refund_key="s").body["refund_amount"] == 300
    assert total_taken(books) == 0


def test_a_repeated_charge_is_answered_as_at_first_although_a_part_was_refunded(books: Ledger):
    first = charge(books).body
    books.refund(first["id"], amount=200, refund_key="r")
    assert charge(books).body == first


def test_an_unknown_payment_cannot_be_refunded(books: Ledger):
    assert code(books.refund("pay_none", amount=1, refund_key="r")) == "no_charge"


def test_a_held_refund_is_refused_once_and_made_when_asked_again_with_the_same_key(books: Ledger):
    charge(books, token="tok_refund_refused")
    refused = books.cancel("run/charge", refund_key="r")
    assert (refused.status, code(refused), total_taken(books)) == (409, "refund_refused", 500)
    assert books.cancel("run/charge", refund_key="r").body["refund_amount"] == 500
    assert total_taken(books) == 0


def test_twenty_threads_with_one_key_make_one_charge(books: Ledger):
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: charge(books), range(20)))
    assert len({answer.body["id"] for answer in answers}) == 1
    assert sum(not answer.replayed for answer in answers) == 1
    assert total_taken(books) == 500


def test_the_books_outlive_the_program(path: Path):
    first = Ledger(path)
    made = charge(first)
    first.is_first("something")
    first.close()
    second = Ledger(path)
    assert (second.id, second.find("run/charge").body, second.is_first("something")) == (first.id, made.body, False)
    second.close()


def test_a_program_that_is_killed_leaves_the_books_as_they_were_answered(path: Path):
    killed = Ledger(path)
    made = charge(killed)
    killed._db.execute("BEGIN IMMEDIATE")
    killed._db.execute("UPDATE charges SET amount = 1")  # never committed
    killed._db.close()
    survivor = Ledger(path)
    assert survivor.find("run/charge").body == made.body
    survivor.close()


def test_a_ledger_whose_file_was_removed_knows_it(books: Ledger, path: Path):
    assert not books.is_gone()
    path.unlink()
    assert books.is_gone()
    path.touch()
    assert books.is_gone(), "another file under the name is not this ledger"


def test_the_books_of_another_version_are_refused(path: Path):
    path.parent.mkdir(parents=True)
    other = sqlite3.connect(path)
    other.execute("PRAGMA user_version = 99")
    other.close()
    with pytest.raises(RuntimeError, match="another version"):
        Ledger(path)


def test_past_orders_are_paid(books: Ledger):
    paid = {entry["id"]: entry["amount"] for entry in books.entries()["charges"]}
    assert paid == {order.payment_id: order.total for order in PAST_ORDERS}


def authorise(books: Ledger, token: str = "tok_valid") -> Answer:
    return books.charge("run/pay", amount=500, currency="USD", token=token, reference="ORD-1", capture=False)


def held(books: Ledger) -> tuple[int, int]:
    entries = books.entries("ORD-1")
    return entries["authorised"], entries["taken"]


def test_an_authorisation_sets_money_aside_and_takes_nothing(books: Ledger):
    assert (authorise(books).body["status"], held(books)) == ("authorised", (500, 0))


def test_a_capture_takes_what_was_set_aside_once(books: Ledger):
    authorise(books)
    first, second = books.capture("run/pay"), books.capture("run/pay")
    assert (first.body, first.replayed, second.replayed) == (second.body, False, True)
    assert (first.body["status"], held(books)) == ("succeeded", (0, 500))


def test_an_authorisation_asked_again_after_its_capture_is_answered_as_at_first(books: Ledger):
    first = authorise(books)
    books.capture("run/pay")
    assert authorise(books) == Answer(first.status, first.body, replayed=True)


def test_a_void_lets_go_and_nothing_can_be_captured_any_more(books: Ledger):
    authorise(books)
    assert books.cancel("run/pay", refund_key="undo").body["refund_id"] is None
    assert (code(books.capture("run/pay")), held(books)) == ("not_authorised", (0, 0))
    assert code(authorise(books)) == "key_sealed"


def test_what_was_never_set_aside_cannot_be_captured(books: Ledger):
    assert code(books.capture("run/pay")) == "not_authorised"
    assert code(books.find("run/pay")) == "no_charge"


def test_what_is_only_set_aside_cannot_be_given_back(books: Ledger):
    charge_id = authorise(books).body["id"]
    assert code(books.refund(charge_id, amount=1, refund_key="r")) == "no_charge"


def test_a_card_that_is_short_of_funds_is_declined_for_the_first_charge_of_a_reference(books: Ledger):
    answers = [charge(books, key, token="tok_short_of_funds") for key in ("a", "a", "b")]
    assert [answer.status for answer in answers] == [402, 402, 201]
