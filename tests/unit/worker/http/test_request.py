"""`http.request` from its task to its outcome, against a real service: what is sent, and what every answer means."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runner.wire import ErrorRecord, Outcome, TaskMessage
from runner.worker import grants as grants_module
from runner.worker.attempt import Attempt
from runner.worker.builtin import BUILTIN
from runner.worker.grants import Grants, grant
from runner.worker.http import connection
from runner.worker.http.connection import Answer, NoAnswer
from runner.worker.registry import Registry
from runner.worker.secret import SecretSource
from runner.worker.uptime import uptime_s
from tests.servers import PATIENCE_S
from tests.web import Web, free_port, web_service

CANARY = "kanarienvogel-4711"
REGISTRY = Registry(BUILTIN)


@pytest.fixture
def web() -> Iterator[Web]:
    with web_service() as running:
        yield running


Ask = Callable[..., Outcome]


@pytest.fixture
def ask(web: Web, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ask:
    """Run a task of http.request; `path` is one of the service, unless a whole `url` is given."""
    monkeypatch.setattr(grants_module, "_granted", Grants())
    monkeypatch.setenv("TOKEN_OF_TEST", CANARY)
    (tmp_path / "key").write_text(f"{CANARY}\n")
    secrets = {"TOKEN": SecretSource(env="TOKEN_OF_TEST"), "KEY": SecretSource(file="key"),
               "GONE": SecretSource(env="NO_SUCH_VARIABLE")}  # fmt: skip
    grant(Grants(root=str(tmp_path), allow=(web.url,), secrets=secrets))

    def ask(
        method: str = "POST", path: str = "/status/200", *, phase: str = "action", attempt: int = 1,
        seconds: float = PATIENCE_S, raises: tuple[str, ...] = (), path_in_run: str = "lines#3/pay", **arguments: Any,
    ) -> Outcome:
        message = TaskMessage(
            worker="http.request", run_id="r", workflow="w", version="1", path=path_in_run, step="pay",
            phase=phase, attempt=attempt, max_attempts=3, timeout_ms=round(seconds * 1000), raises=raises,
            step_ref=f"r/{path_in_run}", idempotency_key=f"r/{path_in_run}:{phase}",
        )  # fmt: skip
        payload = msgspec.json.encode({"method": method, "url": f"{web.url}{path}", **arguments})
        made = Attempt(REGISTRY, message, payload, deadline_s=uptime_s() + seconds)
        assert made.is_async
        return asyncio.run(made.run_async())

    return ask


def output(outcome: Outcome) -> dict[str, Any]:
    assert outcome.outcome == "completed", outcome
    found: dict[str, Any] = json.loads(bytes(outcome.output))
    return found


def error(outcome: Outcome) -> ErrorRecord:
    assert outcome.error is not None, outcome
    return outcome.error


def ending(outcome: Outcome) -> tuple[str, str]:
    return outcome.outcome, error(outcome).code


def echoed(outcome: Outcome) -> dict[str, Any]:
    found: dict[str, Any] = output(outcome)["json"]
    return found


# -- what is sent -----------------------------------------------------------------------------------
def test_json_is_sent_with_the_operations_key(ask: Ask, web: Web):
    ask("POST", "/echo", json={"amount": 7, "name": "Zoë"})
    assert (web.last.method, web.last.body) == ("POST", '{"amount":7,"name":"Zoë"}'.encode())
    assert web.last.headers["content-type"] == "application/json"
    assert web.last.headers["idempotency-key"] == "r/lines#3/pay:action"
    assert web.last.headers["user-agent"] == "sagarun"


def test_a_key_that_is_longer_than_services_take_is_sent_as_its_digest(ask: Ask, web: Web):
    keys = set()
    for _ in range(2):
        ask("POST", path_in_run="lines#3/" * 40 + "pay")
        keys.add(web.last.headers["idempotency-key"])
    assert len(keys) == 1
    assert len(keys.pop()) == 64


def test_an_undo_has_a_key_of_its_own(ask: Ask, web: Web):
    ask("DELETE", phase="compensate")
    assert web.last.headers["idempotency-key"] == "r/lines#3/pay:compensate"


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_what_changes_nothing_needs_no_key(ask: Ask, web: Web, method: str):
    ask(method)
    assert (web.last.method, "idempotency-key" in web.last.headers) == (method, False)


def test_headers_of_the_definition_come_first_and_null_leaves_one_out(ask: Ask, web: Web):
    headers = {"idempotency-key": "mine", "Accept": "text/csv", "User-Agent": None, "X-Count": 3}
    ask("POST", json={}, headers=headers)
    found = {name: web.last.headers.get(name) for name in ("idempotency-key", "accept", "user-agent", "x-count")}
    assert found == {"idempotency-key": "mine", "accept": "text/csv", "user-agent": None, "x-count": "3"}


def test_a_body_is_text_unless_it_is_said_otherwise(ask: Ask, web: Web):
    ask("PUT", body="Grüße")
    assert (web.last.body.decode(), web.last.headers["content-type"]) == ("Grüße", "text/plain; charset=utf-8")
    ask("PUT", body="a=b", headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert web.last.headers["content-type"] == "application/x-www-form-urlencoded"


@pytest.mark.parametrize(("json_", "sent"), [(None, b"null"), (False, b"false"), ([], b"[]"), ("x", b'"x"')])
def test_any_json_may_be_sent(ask: Ask, web: Web, json_: Any, sent: bytes):
    ask("POST", json=json_)
    assert web.last.body == sent


def test_without_a_body_none_is_sent(ask: Ask, web: Web):
    ask("POST")
    assert (web.last.body, web.last.headers["content-length"]) == (b"", "0")
    assert "content-type" not in web.last.headers


def test_a_query_is_encoded_and_added_to_that_of_the_url(ask: Ask, web: Web):
    query = {"a b": "c&d=e", "n": 7, "yes": True, "none": None, "many": [1, "2", None], "ü": "#"}
    ask("GET", "/echo?x=1", query=query)
    assert web.last.target == "/echo?x=1&a%20b=c%26d%3De&n=7&yes=true&many=1&many=2&%C3%BC=%23"


def test_the_name_of_an_operation_may_be_a_part_of_the_url(ask: Ask, web: Web):
    ask("GET", "/status/200?of=r/lines#3/pay")
    assert web.last.target == "/status/200?of=r/lines%233/pay"


# -- arguments --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ({"url": "ftp://x"}, "url"), ({"url": "https://user:pass@x/"}, "url"), ({"url": "https://x/../y"}, "url"),
        ({"method": "post"}, "method"), ({"method": "TRACE"}, "method"), ({"body": "x", "json": 1}, "json"),
        ({"headers": {"Host": "evil"}}, "headers.Host"), ({"headers": {"connection": "x"}}, "headers.connection"),
        ({"headers": {"X-A": "b\r\nX-C: d"}}, "headers.X-A"), ({"headers": {"X A": "b"}}, "headers.X A"),
        ({"headers": {"X-A": {"secret": "TOKEN", "prefix": "Bearer\n"}}}, "headers.X-A"),
        ({"headers": {"X-A": {"secert": "TOKEN"}}}, "headers"), ({"headers": {"X-A": "Grüße"}}, "headers.X-A"),
        ({"expect": "ok"}, "expect"), ({"expect": 99}, "expect"), ({"expect": [200, "20"]}, "expect"),
        ({"errors": {"404": "Not Found"}}, "errors"), ({"errors": {"4": "gone"}}, "errors"),
        ({"errors": {"404": "timeout"}}, "errors.404"), ({"timeout": "soon"}, "timeout"),
        ({"redirects": 9}, "redirects"), ({"verify": False}, "verify"),
    ],
)  # fmt: skip
def test_arguments_that_make_no_sense_are_definite_and_sent_to_nobody(
    ask: Ask, web: Web, arguments: dict[str, Any], path: str
):
    outcome = ask(**arguments)
    assert ending(outcome) == ("failed", "invalid_input")
    assert any(problem["path"].startswith(path) for problem in error(outcome).details["problems"])
    assert web.received == []


# -- hosts ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("url", ["https://evil.example.com/x?token=1", "http://169.254.169.254/latest/meta-data"])
def test_a_host_that_is_not_allowed_is_a_definite_no(ask: Ask, url: str):
    outcome = ask(url=url)
    assert ending(outcome) == ("failed", "http_not_allowed")
    assert error(outcome).kind == "business"
    assert "token" not in msgspec.json.encode(outcome).decode()


def test_a_name_that_leads_inside_is_a_definite_no(ask: Ask, web: Web):
    grant(Grants(allow=(f"http://127.0.0.2:{web.port}", f"http://*:{web.port}")))
    outcome = ask()
    assert ending(outcome) == ("failed", "http_not_allowed")
    assert web.received == []


# -- answers ----------------------------------------------------------------------------------------
def test_a_success_is_the_output(ask: Ask):
    found = output(ask("POST", "/json", json={"id": "p1", "deep": [{"x": None}]}))
    assert (found["status"], found["json"], found["body"]) == (200, {"id": "p1", "deep": [{"x": None}]}, None)
    assert found["headers"]["content-type"] == "application/json; charset=utf-8"


@pytest.mark.parametrize(
    ("data", "kind", "body"),
    [
        (b"plain", "text/plain", "plain"), (b"", "text/plain", None), ("Grüße".encode(), "text/html", "Grüße"),
        ("Grüße".encode("latin-1"), "text/plain; charset=ISO-8859-1", "Grüße"), (b"\xff\xfe\x00", "image/png", None),
        (b"a\x00b", "text/plain", None), (b"x", "text/plain; charset=no-such", None),
        (b"\xef\xbb\xbfbom", "text/csv", "bom"),
        (b"{broken", "application/json", "{broken"), (b'{"a": NaN}', "application/json", '{"a": NaN}'),
        (b"1e999", "application/json", "1e999"), (b'"\\ud800"', "application/json", '"\\ud800"'),
        (b"[" * 100 + b"]" * 100, "application/json", "[" * 100 + "]" * 100),
        (b"[" * 100_000, "application/json", "[" * 100_000), (b"9" * 5_000, "application/json", "9" * 5_000),
    ],
)  # fmt: skip
def test_what_is_no_json_is_text_and_what_is_no_text_is_left_out(ask: Ask, data: bytes, kind: str, body: str | None):
    found = output(ask("POST", f"/text/{data.hex()}", query={"type": kind}) if len(data) < 3_000
                   else ask("POST", "/json", body=data.decode()))  # fmt: skip
    assert (found["json"], found["body"]) == (None, body)


@pytest.mark.parametrize("kind", ["application/json", "application/problem+json", "APPLICATION/JSON;charset=utf-8"])
def test_json_is_known_by_its_type(ask: Ask, kind: str):
    assert output(ask("GET", f"/text/{b'[1]'.hex()}", query={"type": kind}))["json"] == [1]


def test_cookies_are_not_kept(ask: Ask):
    assert "set-cookie" not in output(ask("GET", "/text/61"))["headers"]


@pytest.mark.parametrize("expect", [201, "201", "2xx", [404, 201], [200, "2xx"]])
def test_what_was_expected_is_a_success(ask: Ask, expect: Any):
    assert output(ask("POST", "/status/201", expect=expect))["status"] == 201


@pytest.mark.parametrize(
    ("method", "status", "expected"),
    [
        ("POST", 400, ("failed", "http_rejected")), ("POST", 404, ("failed", "http_rejected")),
        ("PUT", 412, ("failed", "http_rejected")), ("DELETE", 403, ("failed", "http_rejected")),
        ("POST", 429, ("failed", "no_effect")), ("PATCH", 425, ("failed", "no_effect")),
        ("POST", 500, ("unknown", "exception")), ("PUT", 502, ("unknown", "exception")),
        ("POST", 503, ("unknown", "exception")), ("DELETE", 504, ("unknown", "exception")),
        ("POST", 408, ("unknown", "exception")), ("POST", 303, ("unknown", "exception")),
        ("GET", 404, ("failed", "http_rejected")), ("GET", 303, ("failed", "http_rejected")),
        ("GET", 500, ("failed", "no_effect")), ("HEAD", 503, ("failed", "no_effect")),
        ("GET", 429, ("failed", "no_effect")), ("GET", 408, ("failed", "no_effect")),
    ],
)  # fmt: skip
def test_each_status_means_what_it_says_about_the_effect(
    ask: Ask, method: str, status: int, expected: tuple[str, str]
):
    outcome = ask(method, f"/status/{status}")
    assert ending(outcome) == expected
    assert f"{method} http://localhost:" in error(outcome).message
    assert str(status) in error(outcome).message


def test_a_success_that_was_not_expected_is_unknown_where_it_wrote(ask: Ask):
    assert ending(ask("POST", "/status/200", expect=201)) == ("unknown", "exception")
    assert ending(ask("GET", "/status/200", expect=201)) == ("failed", "http_rejected")


def test_a_conflict_is_definite_at_first_and_unknown_of_a_repeat(ask: Ask):
    assert ending(ask("POST", "/status/409")) == ("failed", "http_rejected")
    assert ending(ask("POST", "/status/409", attempt=2)) == ("unknown", "exception")


def test_the_definition_names_the_errors_of_its_service(ask: Ask, caplog: pytest.LogCaptureFixture):
    errors = {"402": "card_declined", "4xx": "refused", "503": "no_effect", "202": "unknown"}
    raises = ("card_declined", "refused")
    ends = {status: ask("POST", f"/status/{status}", errors=errors, raises=raises) for status in (402, 404, 503, 202)}
    assert {status: ending(outcome) for status, outcome in ends.items()} == {
        402: ("failed", "card_declined"), 404: ("failed", "refused"), 503: ("failed", "no_effect"),
        202: ("unknown", "exception"),
    }  # fmt: skip
    declined = error(ends[402])
    assert (declined.kind, declined.details["status"], declined.details["body"]) == ("business", 402, "said 402")
    assert "does not declare" not in caplog.text


def test_an_error_that_is_not_declared_warns(ask: Ask, caplog: pytest.LogCaptureFixture):
    ask("POST", "/status/402", errors={"402": "card_declined"})
    assert "'card_declined', a code that it does not declare" in caplog.text


@pytest.mark.parametrize(
    ("method", "status", "after_ms"), [("POST", 429, 7_000), ("GET", 503, 7_000), ("POST", 503, 0)]
)
def test_when_to_come_again_is_heeded_where_nothing_happened(ask: Ask, method: str, status: int, after_ms: int):
    assert ask(method, f"/status/{status}?Retry-After=7").after_ms == after_ms


def test_a_service_that_says_that_nothing_happened_may_say_when_to_come_again(ask: Ask):
    outcome = ask("POST", "/status/503?Retry-After=7", errors={"503": "no_effect"})
    assert (ending(outcome), outcome.after_ms) == (("failed", "no_effect"), 7_000)


@pytest.mark.parametrize("path", ["/close", "/reset", "/hang", "/drip", "/truncated/200", "/half/200", "/big/2000000"])
def test_no_whole_answer_is_unknown_where_it_wrote_and_no_effect_where_it_read(ask: Ask, path: str):
    written = ask_until_sent(ask, path)
    assert ending(written) == ("unknown", "exception")
    assert "it may have taken effect" in error(written).message
    assert ending(ask("GET", path, timeout="300ms")) == ("failed", "no_effect")


@pytest.mark.parametrize("path", ["/half/402", "/truncated/402"])
def test_a_refusal_is_one_without_its_whole_body(ask: Ask, path: str):
    assert ending(ask_until_sent(ask, path)) == ("failed", "http_rejected")


def ask_until_sent(ask: Ask, path: str) -> Outcome:
    """A busy machine may not even have sent it within the shortest time."""
    outcomes = (ask("POST", path, timeout=timeout, seconds=30) for timeout in ("300ms", "3s", "20s"))
    return next(each for each in outcomes if each.error is None or "was not sent" not in each.error.message)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_was_not_sent_had_no_effect(ask: Ask, method: str):
    port = free_port()
    grant(Grants(allow=(f"http://localhost:{port}",)))
    outcome = ask(method, url=f"http://localhost:{port}/")
    assert ending(outcome) == ("failed", "no_effect")
    assert "was not sent" in error(outcome).message


def test_the_attempts_own_time_is_never_used_up(ask: Ask, monkeypatch: pytest.MonkeyPatch):
    given: list[float] = []

    async def send(*_: object, timeout_s: float, **__: object) -> Answer:
        given.append(timeout_s)
        raise NoAnswer("no answer")

    monkeypatch.setattr(connection, "send", send)
    assert ending(ask("POST", "/hang", seconds=0.5, timeout="1h")) == ("unknown", "exception")
    assert given[0] <= 0.4


# -- verification -----------------------------------------------------------------------------------
def test_a_verification_says_whether_it_landed(ask: Ask):
    landed = ask("GET", "/json/[7]", phase="verify")
    assert (landed.outcome, landed.verdict, output(landed)["json"]) == ("completed", "landed", [7])


@pytest.mark.parametrize(("status", "errors"), [(404, {}), (410, {}), (402, {"402": "declined"})])
def test_what_is_not_there_did_not_land_and_is_not_sealed(ask: Ask, status: int, errors: dict[str, str]):
    outcome = ask("GET", f"/status/{status}", phase="verify", errors=errors)
    assert (outcome.outcome, outcome.verdict, outcome.fenced) == ("completed", "not_landed", False)


@pytest.mark.parametrize("path", ["/status/500", "/close", "/status/429"])
def test_a_verification_without_an_answer_is_asked_again(ask: Ask, path: str):
    assert ending(ask("GET", path, phase="verify")) == ("failed", "no_effect")


# -- redirects --------------------------------------------------------------------------------------
def test_redirects_are_not_followed_unless_it_is_said(ask: Ask, web: Web):
    assert ending(ask("GET", f"/redirect/302?to={web.url}/status/200")) == ("failed", "http_rejected")
    assert len(web.received) == 1


def test_a_reading_request_follows_as_many_as_are_allowed(ask: Ask, web: Web):
    twice = f"/redirect/302?to=%2Fredirect%2F307%3Fto%3D{web.url}%2Fstatus%2F200"
    assert output(ask("GET", twice, redirects=2))["status"] == 200
    assert ending(ask("GET", twice, redirects=1)) == ("failed", "http_rejected")


def test_a_writing_request_follows_none(ask: Ask, web: Web):
    assert ending(ask("POST", f"/redirect/307?to={web.url}/status/200", redirects=5)) == ("unknown", "exception")
    assert len(web.received) == 1


@pytest.mark.parametrize(
    "to", ["http://evil.example.com/", "http://169.254.169.254/", "file:///etc/passwd", "//evil.example.com/x", "http://["]
)
def test_a_redirect_leads_to_no_host_that_is_not_allowed(ask: Ask, to: str):
    assert ending(ask("GET", f"/redirect/302?to={to}", redirects=5)) == ("failed", "http_not_allowed")


def test_what_was_meant_for_one_host_does_not_go_to_another(ask: Ask, web: Web, tmp_path: Path):
    with web_service() as other:
        grant(Grants(root=str(tmp_path), allow=(web.url, other.url), secrets={"KEY": SecretSource(file="key")}))
        headers = {"X-Key": {"secret": "KEY"}, "Authorization": "Basic abc", "X-Plain": "stays"}
        ask("GET", f"/redirect/302?to={web.url}/status/200", redirects=1, headers=headers)
        assert web.last.headers["x-key"] == CANARY
        ask("GET", f"/redirect/302?to={other.url}/status/200", redirects=1, headers=headers)
        assert other.last.headers.keys().isdisjoint({"x-key", "authorization"})
        assert (other.last.headers["x-plain"], other.last.headers["host"]) == ("stays", f"localhost:{other.port}")


# -- secrets ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("secret", ["TOKEN", "KEY"])
def test_a_secret_is_sent_and_nowhere_else(ask: Ask, web: Web, caplog: pytest.LogCaptureFixture, secret: str):
    caplog.set_level(logging.DEBUG)
    headers = {"Authorization": {"secret": secret, "prefix": "Bearer "}}
    calls = [(method, f"/echo/{status}") for method in ("POST", "GET") for status in (200, 404, 500)]
    outcomes = [ask(*call, headers=headers) for call in calls]
    assert {received.headers["authorization"] for received in web.received} == {f"Bearer {CANARY}"}
    told = msgspec.json.encode(outcomes).decode() + caplog.text
    assert CANARY not in told
    assert "Bearer ***" in told


def test_white_space_around_a_value_is_not_sent(ask: Ask, web: Web):
    """A library would refuse it, and repeat the whole value as it says so."""
    outcome = ask(headers={"A": {"secret": "KEY", "prefix": "  Bearer "}, "B": "  b\t"})
    assert (web.last.headers["a"], web.last.headers["b"]) == (f"Bearer {CANARY}", "b")
    assert outcome.outcome == "completed"


def test_a_secret_in_text_that_comes_back_is_hidden(ask: Ask):
    found = output(ask("POST", f"/text/{f'you sent {CANARY}'.encode().hex()}", headers={"K": {"secret": "KEY"}}))
    assert found["body"] == "you sent ***"


@pytest.mark.parametrize(("name", "told"), [("GONE", "NO_SUCH_VARIABLE"), ("OTHER", "there is no secret 'OTHER'")])
def test_a_secret_that_is_not_there_sends_nothing(ask: Ask, web: Web, name: str, told: str):
    outcome = ask(headers={"Authorization": {"secret": name}})
    assert ending(outcome) == ("failed", "no_effect")
    assert told in error(outcome).message
    assert web.received == []
