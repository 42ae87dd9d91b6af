"""Telling somebody: a line in the log, a signed request, a command. What goes wrong is logged.

Rule: what is sent is JSON with a Notice; it names workflows, workers and numbers, never what users gave.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

log = logging.getLogger("sagarun.alert")

TRIES_AFTER_S = (0.0, 1.0, 5.0)  # of a request
TIMEOUT_S = 10.0  # of each
COMMAND_S = 30.0
SAID = 500  # characters of what a command said that are logged


class Notice(msgspec.Struct, frozen=True):
    """What is told. `state`: firing or resolved; `id` is the same in every try, so that a receiver can drop repeats."""

    id: str
    alert: str
    state: str
    message: str
    project: str
    when: str
    subject: str
    value: float | None
    above: float
    at_ms: int


def to_log(notice: Notice) -> str:
    level = logging.WARNING if notice.state == "firing" else logging.INFO
    log.log(level, "alert %s: %s", notice.state, notice.message, extra={"alert": notice.alert})
    return ""


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Of the time as well, so that nobody can send an old one again."""
    return "sha256=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def to_webhook(
    notice: Notice, url: str, secret: Callable[[], str] | None, *, pause: Callable[[float], object] = time.sleep
) -> str:
    """Why it was not taken; "": it was. Tried again when nobody answers, or with 429 or 5xx.

    `secret` is read each time.
    """
    import httpx

    body = msgspec.json.encode(notice)
    why = ""
    for wait_s in TRIES_AFTER_S:
        pause(wait_s)
        try:
            timestamp = str(int(time.time()))
            headers = {
                "Content-Type": "application/json", "User-Agent": "sagarun", "Sagarun-Delivery": notice.id,
                "Sagarun-Timestamp": timestamp,
            }  # fmt: skip
            if secret is not None:
                headers["Sagarun-Signature"] = signature(secret(), timestamp, body)
            with httpx.Client(timeout=TIMEOUT_S, trust_env=False, follow_redirects=False) as client:
                status = client.post(url, content=body, headers=headers).status_code
        except httpx.HTTPError as error:
            why = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            continue
        except Exception as error:  # no secret, say: it does not come by asking again
            why = str(error)
            break
        if status < 300:
            return ""
        why = f"it answered {status}"
        if status != 429 and status < 500:
            break
    log.error("alert %s was not taken by its webhook: %s", notice.alert, why, extra={"alert": notice.alert})
    return why


def to_command(notice: Notice, command: Sequence[str], folder: Path) -> str:
    """Why it did not end well; "": it did. It gets the notice on standard input, its name and state as environment."""
    environment = {**os.environ, "SAGARUN_ALERT": notice.alert, "SAGARUN_ALERT_STATE": notice.state}
    try:
        with subprocess.Popen(
            list(command), cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True,
        ) as process:
            try:
                said, _ = process.communicate(msgspec.json.encode(notice), timeout=COMMAND_S)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                said, _ = process.communicate()
                said = f"it took longer than {COMMAND_S:g} s and was killed; ".encode() + said
        if process.returncode == 0:
            return ""
        why = f"exit code {process.returncode}: {said.decode(errors='replace').strip()[:SAID]}"
    except OSError as error:
        why = f"{command[0]}: {error.strerror}"
    log.error("the command for alert %s failed: %s", notice.alert, why, extra={"alert": notice.alert})
    return why
