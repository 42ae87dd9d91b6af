"""`http.request`: one HTTP request as a step, without any code. What its answer means for the run is decided here.

For GET, HEAD and OPTIONS, which change nothing, every failure is definite. For the others the question is always
whether the service may have acted: a request that was not sent cannot have had an effect; one that was sent and not
answered may; a 4xx says no, a 5xx says nothing (a gateway sends it too when the service behind it has acted). The
definition may say more about its service, with `errors`.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from json import dumps, loads
from types import MappingProxyType
from typing import Annotated, Any, Literal, NotRequired, cast

from pydantic import Field
from typing_extensions import TypedDict

from runner.errors import BusinessError, NoEffectError, RetryLater, parse_duration_ms
from runner.shown import Redactor
from runner.worker.context import Context
from runner.worker.contract import Contract
from runner.worker.grants import Grants, granted
from runner.worker.http.hosts import Target, read_url
from runner.worker.http.meaning import Meaning, meaning_of, retry_after_ms
from runner.worker.payload import Problem, clip, encode_plain
from runner.worker.registry import RESERVED_CODES
from runner.worker.secret import SecretMissing, read_secret
from runner.worker.verdict import Landed, NotLanded

SAFE = ("GET", "HEAD", "OPTIONS")
MARGIN_S = 0.25  # before the attempt's own deadline, so that this worker ends it, and knows how far it had come
EXCERPT_BYTES = 4_096  # of an answer, in an error
MAX_REDIRECTS = 5
MAX_DEPTH = 64  # of JSON that is recorded as such
ABSENT: Any = object()
NONE: Any = MappingProxyType({})
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
_VALUE = re.compile(r"[\x20-\x7e\t]{0,8192}")
_OURS = frozenset({"connection", "content-length", "expect", "host", "te", "transfer-encoding", "upgrade"})
_HIDDEN = frozenset({"connection", "keep-alive", "set-cookie", "set-cookie2", "transfer-encoding"})

StatusText = Annotated[str, Field(pattern=r"^[1-5]([0-9]{2}|xx)$")]
Status = Annotated[int, Field(ge=100, le=599)] | StatusText
Code = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Scalar = str | int | float | bool | None


class SecretHeader(TypedDict, closed=True):
    """A value that is in no definition: the secret of that name in sagarun.yaml, behind a prefix such as "Bearer "."""

    secret: str
    prefix: NotRequired[str]


Header = str | int | SecretHeader | None


@dataclass(frozen=True, slots=True)
class Response:
    """`json` where the body is JSON, else `body` where it is text; null where there is none."""

    status: int
    headers: dict[str, str]
    body: str | None
    json: Any


class OutcomeUnknown(Exception):
    """The service may have acted."""


async def request(
    ctx: Context,
    method: Literal["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"],
    url: str,
    query: dict[str, Scalar | list[Scalar]] = NONE,
    headers: dict[str, Header] = NONE,
    body: str | None = None,
    json: Any = ABSENT,
    expect: Status | list[Status] = "2xx",
    errors: dict[StatusText, Code] = NONE,
    timeout: str | None = None,
    redirects: Annotated[int, Field(ge=0, le=MAX_REDIRECTS)] = 0,
) -> Response:
    """Send one HTTP request to a host of `http.allow`, and give its answer.

    method, url, query; headers, whose values may be {secret: NAME, prefix: "Bearer "}; body (text) or json.
    expect: the statuses that are a success (201, "2xx", [200, 404]).  errors: what other statuses mean: an error code,
    `no_effect` or `unknown`.  timeout: less than the step's.  redirects: how many are followed, for GET and HEAD.
    """
    call = _Call(ctx, method, granted(), headers)
    content = call.content(body, json)
    meaning = Meaning(expect if isinstance(expect, list) else [expect], errors)
    seconds = ctx.remaining() - min(MARGIN_S, ctx.remaining() / 5)
    if timeout is not None:
        seconds = min(seconds, parse_duration_ms("timeout", timeout) / 1000)
    return await call.answer(read_url(_with_query(url, query)), content, meaning, seconds, redirects)


class _Call:
    """A request that is on its way: what is sent, and what becomes of its answers."""

    def __init__(self, ctx: Context, method: str, grants: Grants, headers: Mapping[str, Header]) -> None:
        self._ctx, self._method, self._grants = ctx, method, grants
        self._is_safe = method in SAFE
        self._secret_headers: list[str] = []
        self._headers = {"User-Agent": "sagarun", "Accept": "*/*", "Accept-Encoding": "identity"}
        if not self._is_safe:
            self._headers["Idempotency-Key"] = _short(ctx.idempotency_key)
        values = []
        for name, value in headers.items():
            self._drop(name)
            if isinstance(value, str | int):
                self._headers[name] = str(value).strip()
            elif value is not None:
                values.append(self._read_secret(value["secret"]))
                self._headers[name] = value.get("prefix", "").lstrip() + values[-1]
                self._secret_headers.append(name)
        self._redactor = Redactor(values)

    def content(self, body: str | None, json: Any) -> bytes:
        data, kind = (body or "").encode(), "text/plain; charset=utf-8"
        if json is not ABSENT:
            data, kind = dumps(json, ensure_ascii=False, separators=(",", ":")).encode(), "application/json"
        if (json is not ABSENT or body is not None) and not self._has("content-type"):
            self._headers["Content-Type"] = kind
        if data or not self._is_safe:
            self._headers["Content-Length"] = str(len(data))
        return data

    async def answer(
        self, target: Target, content: bytes, meaning: Meaning, timeout_s: float, redirects: int
    ) -> Response:
        from runner.worker.http.connection import NoAnswer, NotSent, Refused, send
        from runner.worker.uptime import uptime_s

        end_s = uptime_s() + timeout_s
        while True:
            fields = [("Host", target.authority), *self._headers.items()]
            try:
                found = await send(
                    self._method, target, fields, content, grants=self._grants, timeout_s=end_s - uptime_s()
                )
            except Refused as error:
                raise BusinessError("http_not_allowed", str(error), {"url": str(target)}) from None
            except NotSent as error:
                raise NoEffectError(self._redactor.text(f"{self._method} {target} was not sent: {error}")) from None
            except NoAnswer as error:
                raise self._unanswered(f"{self._method} {target} was not answered: {error}") from None
            if redirects and found.status in (301, 302, 303, 307, 308) and self._method in ("GET", "HEAD"):
                target, redirects = self._follow(target, found.headers.get("location", "")), redirects - 1
                continue
            return self._judge(target, found.status, self._read(found), found.is_whole, meaning)

    # -- what an answer means -------------------------------------------------------------------------
    def _judge(self, target: Target, status: int, response: Response, is_whole: bool, meaning: Meaning) -> Response:
        what = f"{self._method} {target} answered {status}"
        named = meaning.named(status)
        if self._ctx.phase == "verify" and (named not in (None, "no_effect", "unknown") or status in (404, 410)):
            return cast(Response, NotLanded())
        word = named or meaning_of(status, is_safe=self._is_safe, attempt=self._ctx.attempt, meaning=meaning)
        if word == "ok" and is_whole:
            return cast(Response, Landed(response)) if self._ctx.phase == "verify" else response
        if word == "ok":
            raise self._unanswered(f"{what}, and a body that is longer than 1 MiB, or ended too soon")
        said = f"{what}{_said(response)}"
        if word == "unknown":
            raise self._unanswered(said)
        if word == "no_effect":
            after_ms = retry_after_ms(response.headers)
            raise RetryLater(said, after=f"{after_ms}ms") if after_ms else NoEffectError(said)
        excerpt = response.body and clip(response.body, EXCERPT_BYTES)
        details = {"status": status, "url": str(target), "body": excerpt, "json": _small(response.json)}
        raise BusinessError(word, said, {name: value for name, value in details.items() if value is not None})

    def _unanswered(self, what: str) -> Exception:
        what = self._redactor.text(what)
        if self._is_safe:
            return NoEffectError(what)
        return OutcomeUnknown(f"{what}; it may have taken effect")

    def _read(self, answer: Any) -> Response:
        """Without what it repeats of our secrets."""
        kept = {name: value for name, value in answer.headers.items() if name not in _HIDDEN}
        headers = {self._redactor.text(name): self._redactor.text(value) for name, value in kept.items()}
        kind = answer.headers.get("content-type", "")
        text = _text_of(bytes(answer.body), kind)
        if text and re.match(r"[^;]*[/+]json\s*(;|$)", kind, re.IGNORECASE):
            # What says that it is JSON, and is none that could be recorded, is text.
            with contextlib.suppress(ValueError, RecursionError):
                return Response(answer.status, headers, None, self._redactor.value(_read_json(text)))
        return Response(answer.status, headers, None if text is None else self._redactor.text(text), None)

    # -- what is sent ---------------------------------------------------------------------------------
    def _follow(self, target: Target, location: str) -> Target:
        """Nothing that was meant for one host goes to another."""
        from urllib.parse import urljoin

        try:
            here = f"{target.scheme}://{target.authority}{target.path}"
            found = read_url(urljoin(here, location).partition("#")[0])
        except ValueError as error:
            raise BusinessError("http_not_allowed", f"{target} leads to another URL: {error}") from None
        if target.scheme == "https" and found.scheme != "https":
            raise BusinessError("http_not_allowed", f"{target} leads to {found}, which is not encrypted")
        if found.origin != target.origin:
            for name in [*self._secret_headers, "Authorization", "Cookie", "Proxy-Authorization"]:
                self._drop(name)
        return found

    def _has(self, name: str) -> bool:
        return any(each.lower() == name.lower() for each in self._headers)

    def _drop(self, name: str) -> None:
        for each in [each for each in self._headers if each.lower() == name.lower()]:
            del self._headers[each]

    def _read_secret(self, name: str) -> str:
        try:
            return read_secret(name, self._grants.secrets, self._grants.root)
        except SecretMissing as error:
            raise NoEffectError(f"{self._method} was not sent: {error}") from None


def _short(key: str) -> str:
    """Many services take 255 characters; paths of nested loops may have more."""
    return key if len(key) <= 255 else hashlib.sha256(key.encode()).hexdigest()


# -- arguments that no type can describe ----------------------------------------------------------------
class RequestContract(Contract):
    """The contract of the signature, and what else is wrong with arguments before anything is sent."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(request)

    def read(self, payload: bytes) -> tuple[dict[str, Any], tuple[Problem, ...]]:
        arguments, problems = super().read(payload)
        return arguments, problems or tuple(_problems(arguments))


def _problems(arguments: Mapping[str, Any]) -> list[Problem]:
    """Values stay out of the texts: they may be somebody's."""
    found: list[Problem] = []
    try:
        read_url(_with_query(arguments["url"], arguments.get("query", {})))
    except ValueError as error:
        found.append({"path": "url", "message": str(error)})
    if arguments.get("body") is not None and "json" in arguments:
        found.append({"path": "json", "message": "there is a body too: one of the two is sent"})
    if arguments.get("timeout") is not None:
        try:
            parse_duration_ms("timeout", arguments["timeout"])
        except ValueError as error:
            found.append({"path": "timeout", "message": str(error)})
    for name, value in arguments.get("headers", {}).items():
        text = value.get("prefix", "") if isinstance(value, dict) else str(value or "")
        if not _HEADER.fullmatch(name) or name.lower() in _OURS:
            found.append({"path": f"headers.{clip(name, 60)}", "message": "this is no header that may be given"})
        elif not _VALUE.fullmatch(text):
            found.append({"path": f"headers.{name}", "message": "its value has to be printable ASCII, in one line"})
    for status, code in arguments.get("errors", {}).items():
        if code in RESERVED_CODES - {"no_effect"}:
            found.append({"path": f"errors.{status}", "message": f"the error code {code!r} has a meaning of its own"})
    return found


def _with_query(url: str, query: Mapping[str, Scalar | list[Scalar]]) -> str:
    from urllib.parse import quote

    pairs = [
        f"{quote(name, safe='')}={quote(_plain(value), safe='')}"
        for name, values in query.items()
        for value in (values if isinstance(values, list) else [values])
        if value is not None
    ]
    if not pairs:
        return url
    return url + ("&" if "?" in url else "?") + "&".join(pairs)


def _plain(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _text_of(data: bytes, kind: str) -> str | None:
    """None for no body, and for one that is not text."""
    charset = re.search(r'charset="?([\w-]+)', kind, re.IGNORECASE)
    try:
        text = data.decode(charset[1] if charset else "utf-8").removeprefix("\ufeff")
    except (UnicodeDecodeError, LookupError):
        return None
    return text if text and "\0" not in text else None


def _read_json(text: str) -> Any:
    """Raises ValueError or RecursionError for what is no JSON, or none that can be recorded."""
    value = loads(text)
    encode_plain(value)  # refuses NaN, numbers that are infinite, and halves of surrogate pairs
    level, depth = [value], 0
    while level := [each for each in level if isinstance(each, dict | list)]:
        level = [inner for each in level for inner in (each.values() if isinstance(each, dict) else each)]
        depth += 1
        if depth > MAX_DEPTH:
            raise ValueError(f"it is nested more than {MAX_DEPTH} deep")
    return value


def _said(response: Response) -> str:
    text = response.body if response.json is None else dumps(response.json, ensure_ascii=False)
    return f": {clip(' '.join((text or '').split()), 300)}" if text else ""


def _small(value: Any) -> Any:
    return value if value is None or len(dumps(value)) <= EXCERPT_BYTES else None
