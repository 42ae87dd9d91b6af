"""The payment gateway as the workers see it. Every method is one HTTP request, and may be repeated with the same key.

Three ways to end, and no fourth: an answer; a `Refused` or a NoEffectError, where the gateway's API promises that the
request took no effect; any other exception, after which nobody knows. Do not catch the last kind.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from runner import NoEffectError
from workers.gateway import process
from workers.places import gateway_ledger, is_test

if TYPE_CHECKING:
    import httpx

_READ_S = 2.0  # shorter than any step's timeout, so that a silent gateway is noticed here first
_READ_VARIABLE = "PAYMENT_GATEWAY_TIMEOUT_S"
_CONNECT_S = 2.0
_POOL_S = 5.0
_MISDIRECTED = 421
_SHORT_LIFE = {"GATEWAY_IDLE_S": "20"}  # of a sandbox whose ledger goes away after the tests
_DEFINITE_NO = frozenset(
    {"card_declined", "key_sealed", "no_charge", "not_authorised", "refund_refused", "refund_exceeds_charge"}
)

_lock = threading.Lock()
_client: httpx.Client | None = None
_sandboxes: dict[Path, process.Address] = {}  # where the sandbox of each ledger was last found


class Refused(Exception):
    """The gateway said no, and that the request took no effect. `code` is its word for why."""

    def __init__(self, code: str, message: str, details: dict[str, Any]) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.details = details


def charge(key: str, *, amount: int, currency: str, token: str, reference: str) -> dict[str, Any]:
    """Take money, once for each key. Refused: card_declined, key_sealed."""
    body = {"amount": amount, "currency": currency, "token": token, "reference": reference}
    return _ask("POST", "/v1/charges", key=key, body=body)


def authorise(key: str, *, amount: int, currency: str, token: str, reference: str) -> dict[str, Any]:
    """Set money aside, once for each key; nothing is taken. Refused: card_declined, key_sealed."""
    body = {"amount": amount, "currency": currency, "token": token, "reference": reference}
    return _ask("POST", "/v1/authorisations", key=key, body=body)


def capture(key: str) -> dict[str, Any]:
    """Take what was set aside under this key. Refused: not_authorised."""
    return _ask("POST", f"/v1/charges/by-key/{quote(key, safe='')}/capture", key=f"{key}:capture")


def find(key: str) -> dict[str, Any]:
    """What became of a charge: `status` authorised, succeeded, declined, refunded or sealed. Refused: no_charge."""
    return _ask("GET", f"/v1/charges/by-key/{quote(key, safe='')}")


def seal(key: str) -> dict[str, Any]:
    """The same, but where there is no charge the key is closed: none can come any more."""
    return _ask("POST", f"/v1/charges/by-key/{quote(key, safe='')}/seal")


def cancel(key: str, *, refund_key: str) -> dict[str, Any]:
    """Give back all that a key took or set aside, and close it, also one that took nothing. Refused: refund_refused."""
    return _ask("POST", f"/v1/charges/by-key/{quote(key, safe='')}/refund", key=refund_key)


def refund(payment_id: str, *, amount: int, refund_key: str) -> dict[str, Any]:
    """Give back a part of a charge that stands. Refused: no_charge, refund_exceeds_charge, refund_refused."""
    path = f"/v1/charges/{quote(payment_id, safe='')}/refunds"
    return _ask("POST", path, key=refund_key, body={"amount": amount})


@atexit.register
def close() -> None:
    """Hang up. The next request connects anew, and looks for the sandbox anew."""
    global _client
    with _lock:
        _sandboxes.clear()
        if _client is not None:
            _client.close()
            _client = None


def _ask(method: str, path: str, *, key: str = "", body: dict[str, Any] | None = None) -> dict[str, Any]:
    import httpx  # late: it takes longer to import than all workers together, and few commands pay for anything

    unreachable: Exception | None = None
    for _ in range(2):
        url, ledger_id = _destination()
        headers = {"Idempotency-Key": key} if key else {}
        if ledger_id:
            headers["Gateway-Ledger"] = ledger_id
        try:
            response = _shared_client().request(
                method, url + path, headers=headers, json=body or {}, timeout=_patience()
            )
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise NoEffectError(f"PAYMENT_GATEWAY_URL ({url}) is not the URL of a payment gateway: {error}") from error
        except httpx.PoolTimeout as error:
            raise NoEffectError("every connection to the payment gateway is in use") from error
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            unreachable = error  # no connection, so nothing was sent
        else:
            if response.status_code != _MISDIRECTED:
                return _read(response)
        # A sandbox that ended for lack of work is started again; its port may be that of another project's by now.
        _forget(url)
    raise NoEffectError(f"the payment gateway at {url} cannot be reached: {unreachable}") from unreachable


def _patience() -> httpx.Timeout:
    import httpx

    return httpx.Timeout(float(os.environ.get(_READ_VARIABLE, _READ_S)), connect=_CONNECT_S, pool=_POOL_S)


def _read(response: httpx.Response) -> dict[str, Any]:
    if response.is_success:
        answer: dict[str, Any] = response.json()
        return answer
    try:
        error = response.json()["error"]
        code, message, details = str(error["code"]), str(error["message"]), dict(error["details"])
    except (ValueError, KeyError, TypeError):
        code, message, details = "", "", {}  # not this gateway's form, perhaps a proxy's: it promises nothing
    if response.status_code == 503 and code == "unavailable":
        raise NoEffectError(f"the payment gateway is unavailable: {message}")
    if code in _DEFINITE_NO:
        raise Refused(code, message, details)
    response.raise_for_status()
    raise AssertionError(f"an answer with status {response.status_code} is neither a success nor an error")


def _shared_client() -> httpx.Client:
    """One client, and so one set of kept connections, for all threads."""
    global _client
    import httpx

    with _lock:
        if _client is None:
            limits = httpx.Limits(max_connections=64, max_keepalive_connections=64, keepalive_expiry=60)
            # trust_env=False: a proxy of the environment must not stand between a worker and the loopback.
            _client = httpx.Client(limits=limits, trust_env=False)
        return _client


def _destination() -> tuple[str, str]:
    """Whom to ask, and, of a sandbox, whose ledger it must be."""
    given = os.environ.get("PAYMENT_GATEWAY_URL")
    if given:
        return given.rstrip("/"), ""
    address = _sandbox(gateway_ledger())
    return address.url, address.ledger_id


def _sandbox(ledger: Path) -> process.Address:
    """The address of the sandbox gateway, which is started if it does not run. Threads ask one at a time."""
    with _lock:
        if ledger not in _sandboxes:
            _sandboxes[ledger] = process.find(ledger) or _start(ledger)
        return _sandboxes[ledger]


def _start(ledger: Path) -> process.Address:
    """Start it through a program of its own: this process has threads, and a fork of it would be half dead."""
    project = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-m", "workers.gateway", "start"]
    environment = {**os.environ, **(_SHORT_LIFE if is_test() else {}), "GATEWAY_DB": str(ledger)}
    try:
        done = subprocess.run(
            command,
            cwd=project,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=process.START_TIMEOUT_S + 5,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise NoEffectError(f"the sandbox gateway did not start within {error.timeout:.0f} s") from error
    address = process.find(ledger)
    if address is None:
        raise NoEffectError(f"the sandbox gateway did not start: {done.stderr.strip() or done.stdout.strip()}")
    return address


def _forget(url: str) -> None:
    with _lock:
        for ledger in [ledger for ledger, known in _sandboxes.items() if known.url == url]:
            del _sandboxes[ledger]
