"""What a status means for the operation. A wrong line here is money lost: each is told with its reason in the docs."""

from __future__ import annotations

import pytest

from runner.worker.http.meaning import Meaning, meaning_of, retry_after_ms

DEFAULT = Meaning(["2xx"], {})


def meant(status: int, *, is_safe: bool = False, attempt: int = 1, meaning: Meaning = DEFAULT) -> str:
    return meaning_of(status, is_safe=is_safe, attempt=attempt, meaning=meaning)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
@pytest.mark.parametrize("is_safe", [True, False])
def test_success_is_any_2xx_unless_it_is_said_otherwise(status: int, is_safe: bool):
    assert meant(status, is_safe=is_safe) == "ok"


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 409, 410, 412, 413, 415, 421, 422, 423, 428, 451])
def test_a_client_error_says_that_nothing_was_done(status: int):
    assert meant(status) == "http_rejected"


@pytest.mark.parametrize("status", [500, 501, 502, 503, 504, 507, 520, 524, 599])
def test_a_server_error_says_nothing_about_what_was_done(status: int):
    """Gateways send 502, 503 and 504 after they have passed the request on."""
    assert meant(status) == "unknown"


@pytest.mark.parametrize("status", [408, 460, 499])
def test_a_request_that_was_broken_off_may_have_been_read(status: int):
    assert meant(status) == "unknown"


@pytest.mark.parametrize("status", [301, 302, 303, 304, 307, 308])
def test_a_redirect_of_a_writing_request_says_nothing(status: int):
    """303 is what a service answers that has done it."""
    assert meant(status) == "unknown"


@pytest.mark.parametrize("status", [425, 429])
@pytest.mark.parametrize("is_safe", [True, False])
def test_too_early_and_too_many_were_refused_before_anything_was_done(status: int, is_safe: bool):
    assert meant(status, is_safe=is_safe) == "no_effect"


def test_a_conflict_of_a_repeat_may_be_the_first_request_still_at_work():
    assert [meant(409, attempt=1), meant(409, attempt=2)] == ["http_rejected", "unknown"]


def test_a_success_that_was_not_expected_did_something():
    assert meant(200, meaning=Meaning([201], {})) == "unknown"


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408, 499])
def test_a_safe_request_may_simply_be_repeated(status: int):
    assert meant(status, is_safe=True) == "no_effect"


@pytest.mark.parametrize("status", [301, 304, 400, 404, 409])
def test_a_safe_request_that_was_refused_is_not_repeated(status: int):
    assert meant(status, is_safe=True, attempt=2) == "http_rejected"


@pytest.mark.parametrize("expect", [[404], ["404"], ["2xx", 404], ["4xx"]])
def test_what_is_expected_is_a_success(expect: list[int | str]):
    assert meant(404, meaning=Meaning(expect, {})) == "ok"


def test_what_the_definition_says_of_a_status_comes_first():
    meaning = Meaning(["2xx", 404], {"402": "declined", "4xx": "refused", "503": "no_effect", "202": "unknown"})
    found = {status: meaning.named(status) for status in (402, 404, 410, 503, 202, 200, 500)}
    assert found == {402: "declined", 404: None, 410: "refused", 503: "no_effect", 202: "unknown", 200: None, 500: None}


@pytest.mark.parametrize(
    ("headers", "after_ms"),
    [
        ({}, 0),
        ({"retry-after": "7"}, 7_000),
        ({"retry-after": " 7 "}, 7_000),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "999999999999"}, 86_400_000),
        ({"retry-after": "-5"}, 0),
        ({"retry-after": "soon"}, 0),
        ({"retry-after": "\u0667"}, 0),
        ({"retry-after": "Fri, 02 Jan 2026 00:00:30 GMT", "date": "Fri, 02 Jan 2026 00:00:00 GMT"}, 30_000),
        ({"retry-after": "Fri, 02 Jan 2026 00:00:00 GMT", "date": "Fri, 02 Jan 2026 00:00:30 GMT"}, 0),
        ({"retry-after": "Fri, 02 Jan 1970 00:00:00 GMT"}, 0),
        ({"retry-after": "Fri, 02 Jan 2026 00:00:00 -0000"}, 0),
        ({"retry-after": "Fri, 02 Jan 2999 00:00:00 GMT"}, 86_400_000),
        ({"retry-after": "Fri, 02 Jan 2026 00:00:30 GMT", "date": "nonsense"}, 0),
    ],
)
def test_how_long_to_wait_is_read_as_far_as_it_can_be(headers: dict[str, str], after_ms: int):
    assert retry_after_ms(headers) == after_ms
