"""Workers that do what a scenario says: each call asks the test over a socket what is to become of it.

Imported by the children of a real worker process. Nothing is decided here, so that what a scenario means is
said once, in player.py.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from redis import Redis

from runner import BusinessError, Context, Landed, NoEffectError, NotLanded, Pending, RetryLater, worker
from runner.errors import AlreadyUndone
from runner.worker.barrier_redis import run_once
from runner.worker.context import fake_context

QUEUE = "kit"
SINGLE = "kit.single"  # of workers of which one may be at work at a time
QUEUES = {QUEUE, SINGLE}
NARROW = {SINGLE}
DESK = "SAGARUN_KIT_DESK"  # the environment variable that holds the socket's path
VAULT = "SAGARUN_KIT_VAULT"  # and the one with the server that holds the effects
SCENARIOS = Path(__file__).with_name("scenarios")
LOOK_S = 0.02  # how soon a request to stop is seen


def call(ctx: Context, given: dict[str, Any]) -> Any:
    """Say that one is called, wait to be told what comes of it, and do that."""
    with socket.socket(socket.AF_UNIX) as desk:
        desk.connect(os.environ[DESK])
        desk.sendall(json.dumps(_facts(ctx, given)).encode() + b"\n")
        lines = desk.makefile("rb", buffering=0)  # what it read ahead, select would not see
        manner = json.loads(lines.readline())
        while not select.select([desk], [], [], LOOK_S)[0]:
            if manner["beats"] is not None:
                ctx.heartbeat(manner["beats"])
            if not manner["ignores_stop"]:
                ctx.raise_if_cancelled()
        return _carry_out(json.loads(lines.readline()), given)


def _facts(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    return {
        "run": ctx.run_id, "path": ctx.step_ref.partition("/")[2], "phase": ctx.phase, "input": given,
        "attempt": ctx.attempt, "key": ctx.idempotency_key, "ref": ctx.step_ref, "fencing": ctx.fencing,
        "cause": ctx.cause.code if ctx.cause is not None else None, "last_details": ctx.last_details,
        "item_path": list(ctx.item_path), "fence": ctx.fence, "worker": ctx.worker,
        "timeout_ms": ctx._message.timeout_ms, "heartbeat_ms": ctx._message.heartbeat_ms,
    }


def _carry_out(answer: dict[str, Any], given: dict[str, Any]) -> Any:
    return _DEEDS[answer["does"]](answer, given)


def _raise(error: BaseException) -> Any:
    raise error


def _die() -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


_DEEDS: dict[str, Callable[[dict[str, Any], dict[str, Any]], Any]] = {
    "echo": lambda _answer, given: given,
    "completed": lambda answer, _given: answer["value"],
    "business": lambda answer, _given: _raise(
        BusinessError(answer["value"], answer.get("message", ""), answer.get("details"))
    ),
    "no_effect": lambda answer, _given: _raise(NoEffectError(answer.get("message", ""))),
    "retry_later": lambda answer, _given: _raise(RetryLater(after=answer["value"])),
    "already_undone": lambda _answer, _given: _raise(AlreadyUndone()),
    "exception": lambda answer, _given: _raise(RuntimeError(answer.get("message", ""))),
    "invalid_output": lambda _answer, _given: object(),
    "lost": lambda _answer, _given: _die(),
    "landed": lambda answer, _given: Landed(answer["value"]),
    "not_landed": lambda answer, _given: NotLanded(fenced=answer["value"] == "fenced"),
    "pending": lambda answer, _given: Pending(answer["value"] or ""),
}


def names() -> list[str]:
    """Every worker that some scenario asks for, but for those that must have no process."""
    found = {name for path in SCENARIOS.glob("*.yaml") for name in re.findall(r"worker: ([a-z_.]+)", path.read_text())}
    return sorted(name for name in found if not name.startswith(("nobody.", "absent.", "strict.", "vault.")))


def register() -> None:
    for name in names():
        def scripted(ctx: Context, **given: Any) -> Any:
            return call(ctx, given)

        if name.startswith("single."):
            worker(name, queue=SINGLE, max_concurrency=1)(scripted)
        else:
            worker(name, queue=QUEUE)(scripted)
    for name, function in OWN.items():
        worker(name, queue=QUEUE)(function)


def strict_number(ctx: Context, n: int) -> int:
    """The one with a contract: what does not fit goes neither in nor out."""
    answered = call(ctx, {"n": n})
    return answered["n"] if isinstance(answered, dict) else answered


# -- a service behind the barrier -------------------------------------------------------------------------
# Its effect is a number in Redis, one up and one down again; the barrier keeps a row for each operation beside it.
EFFECT = {
    "action": "redis.call('INCR', KEYS[1]) return '{\"kept\": true}'",
    "compensate": "redis.call('DECR', KEYS[1])",
}


def effect_key(step_ref: str) -> str:
    return f"kit:vault:{step_ref}"


def keep(ctx: Context) -> Any:
    """Does it first, so that it can be done and the answer be lost."""
    done = _through_the_barrier(ctx)
    answered = call(ctx, {})
    return done if answered == {} else answered


def keep_slowly(ctx: Context) -> Any:
    """Does it at the very end, so that it can be given up before."""
    call(ctx, {})
    return _through_the_barrier(ctx)


def drop(ctx: Context) -> Any:
    _through_the_barrier(ctx)
    return call(ctx, {})


def look(ctx: Context) -> Landed[Any] | NotLanded:
    """Says what is so, whatever the scenario says."""
    call(ctx, {})
    client = Redis.from_url(os.environ[VAULT])
    once = run_once(ctx, client, EFFECT["action"], keys=[effect_key(ctx.step_ref)])
    return Landed(once.result) if once.done else NotLanded()


def _through_the_barrier(ctx: Context) -> Any:
    client = Redis.from_url(os.environ[VAULT])
    return run_once(ctx, client, EFFECT[ctx.phase], keys=[effect_key(ctx.step_ref)]).result


def come_late(client: Redis, step_ref: str) -> bool:
    """An action that was given up reaches the service after all. False: the barrier keeps it out."""
    ctx = fake_context(step_ref=step_ref, phase="action")
    try:
        run_once(ctx, client, EFFECT["action"], keys=[effect_key(step_ref)])
    except AlreadyUndone:
        return False
    return True


OWN: dict[str, Callable[..., Any]] = {
    "strict.number": strict_number,
    "vault.keep": keep, "vault.slow": keep_slowly, "vault.drop": drop, "vault.look": look,
}

if DESK in os.environ:  # in the child only: the test's own process would have these workers for all its other tests
    register()
