"""Two errors are the same pattern when the same thing went wrong, on whatever machine, with whatever data."""

from __future__ import annotations

import time
import traceback

import pytest

from runner.fingerprint import normalised, pattern_of, place_of
from runner.wire import ErrorRecord

TRACE = """Traceback (most recent call last):
  File "/usr/lib/python3.11/json/decoder.py", line 3, in loads
    raise JSONDecodeError
  File "/srv/one/workers/payments.py", line 12, in charge
    return d["x"]
           ~^^^^^
KeyError: 'x'

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/srv/one/workers/payments.py", line 14, in charge
    raise ValueError("no x") from error
ValueError: no x
"""


def exception(message: str = "ValueError: no x", trace: str = TRACE, **members: object) -> ErrorRecord:
    return ErrorRecord("exception", message=message, details={"traceback": trace, **members})


def group(error: ErrorRecord) -> str:
    return pattern_of(error).group


@pytest.mark.parametrize(
    ("message", "pattern"),
    [
        ("order ORD-006 of ann.b@example.com failed after 412 ms", "order <id> of <email> failed after <duration>"),
        ("no such key 'abc', don't ask", "no such key <quoted>, don't ask"),
        ("GET http://shop.test/z?q=1 gave 503", "GET <url> gave <int>"),
        ("db.internal (10.0.0.1:6379) is away", "<hostname> (<ip>:<int>) is away"),
        ("550e8400-e29b-41d4-a716-446655440000 at 2026-01-02T03:04:05Z", "<uuid> at <date>"),
        ("Mon, 23 Nov 2026 or 11/23/2026 or 12:01:02", "<date> or <date> or <date>"),
        ("1.5 and -3 and 1,299.00 and 0xff", "<float> and <int> and <float> and <hex>"),
        ("at deadbe1 of da39a3ee5e6b4b0d3255bfef95601890afd80709", "at <git_sha> of <sha1>"),
        ("retry=True name=\"x\"", "retry=<bool> name=<quoted>"),
        ("t.x ran longer than its timeout of 3000 ms", "t.x ran longer than its timeout of <duration>"),
        ("insufficient funds", "insufficient funds"),
        ("two\n  lines", "two lines"),
    ],
)  # fmt: skip
def test_what_differs_each_time_is_taken_out_of_a_message(message: str, pattern: str):
    assert normalised(message) == pattern


def test_messages_that_differ_in_data_are_one_pattern():
    groups = {group(ErrorRecord("gone", message=f"order {number} is gone")) for number in (12, 7)}
    assert len(groups) == 1


def test_codes_tell_patterns_apart():
    assert group(ErrorRecord("gone", message="no")) != group(ErrorRecord("lost", message="no"))


def test_where_in_a_run_it_was_makes_no_difference():
    assert group(ErrorRecord("gone", message="no", step="a", attempt=1)) == group(ErrorRecord("gone", message="no"))


def test_frames_of_the_project_decide_and_not_the_message():
    pattern = pattern_of(exception())
    assert (pattern.by, pattern.type, pattern.where) == ("traceback", "ValueError", "workers/payments.py in charge")
    assert group(exception("ValueError: something else")) == pattern.group


def test_another_folder_and_other_line_numbers_are_the_same_place():
    moved = TRACE.replace("/srv/one", "/opt/two").replace("line 14", "line 99")
    assert group(exception(trace=moved)) == group(exception())


@pytest.mark.parametrize(("old", "new"), [("in charge", "in refund"), ("KeyError:", "IndexError:"), ("no x", "no y")])
def test_another_function_type_or_line_is_another_pattern(old: str, new: str):
    assert group(exception(trace=TRACE.replace(old, new))) != group(exception())


def test_frames_of_packages_do_not_count():
    deeper = TRACE + '  File "/venv/lib/python3.11/site-packages/httpx/x.py", line 1, in get\n    boo\n'
    assert group(exception(trace=deeper)) == group(exception())


def test_a_real_traceback_is_read():
    def deep(left: int) -> None:
        if not left:
            raise LookupError("there is none")
        deep(left - 1)

    groups = set()
    for depth in (2, 6):
        try:
            deep(depth)
        except LookupError as error:
            found = pattern_of(exception("LookupError: there is none", "".join(traceback.format_exception(error))))
            assert (found.by, found.where) == ("traceback", "unit/test_fingerprint.py in deep")
            groups.add(found.group)
    assert len(groups) == 1  # what calls itself counts once


def test_without_frames_of_the_project_the_message_decides():
    foreign = TRACE.replace("/srv/one/workers", "/usr/lib/python3.11/x")
    pattern = pattern_of(exception(trace=foreign))
    assert (pattern.by, pattern.where) == ("message", "")
    assert group(exception("ValueError: other", trace=foreign)) != pattern.group


def test_a_fingerprint_that_the_error_brings_comes_first():
    given = exception(fingerprint=["gateway", "down"])
    assert pattern_of(given).by == "fingerprint"
    assert group(given) == group(ErrorRecord("gateway", message="x", details={"fingerprint": ["gateway", "down"]}))
    assert group(exception(fingerprint="gateway")) != group(given)


@pytest.mark.parametrize("given", [None, 7, [], "", {"a": 1}])
def test_a_fingerprint_that_is_none_is_passed_over(given: object):
    assert pattern_of(exception(fingerprint=given)).by == "traceback"


def test_which_process_was_lost_makes_no_difference():
    lost = [ErrorRecord("worker_lost", message=f"its worker process {host} was lost") for host in ("a:1:x", "web:b")]
    assert group(lost[0]) == group(lost[1])


def test_the_version_is_part_of_the_name():
    """Groups are kept for long: whoever changes a rule gives another version, or this fails."""
    assert group(ErrorRecord("card_declined", message="insufficient funds")) == "v1:8mqsyce23g94"
    assert group(exception()) == "v1:5bga1z02ap1n"


@pytest.mark.parametrize("text", ["a-" * 2_000, "a.a" * 999, "1,111" * 500, ":" * 3_000, "a@" * 999, "-" * 2_000 + "1"])
def test_no_message_takes_long(text: str):
    begun = time.process_time()
    normalised(text)
    assert time.process_time() - begun < 0.5


@pytest.mark.parametrize("details", [None, "text", [1], {"traceback": 7}, {"traceback": "no traceback"}])
def test_any_details_are_taken(details: object):
    assert pattern_of(ErrorRecord("exception", message="no type here", details=details)).by == "message"


def test_the_innermost_line_of_the_project_is_the_place_of_an_exception():
    deeper = TRACE + '  File "/venv/lib/python3.11/site-packages/httpx/x.py", line 1, in get\n    boo\n'
    assert place_of(exception(trace=deeper)) == "workers/payments.py:14"
    assert place_of(exception(trace=TRACE.replace("/srv/one/workers", "/usr/lib/python3.11/x"))) == ""
    assert place_of(ErrorRecord("timeout", details={"traceback": TRACE})) == ""
