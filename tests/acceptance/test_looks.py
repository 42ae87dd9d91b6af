"""What a run did, from the command line alone: its events and logs, its lines in the log file, its trace."""

from __future__ import annotations

import json

import pytest

from runner.trace import run_span
from tests.acceptance.program import Project
from tests.collector import attributes, collector

CANARY = "kanarienvogel-protokoll"
DEFINITION = """
workflow: talk
version: 1.0.0
input:
  type: object
  required: [token]
  properties: {token: {type: string, x-secret: true}}
defaults: {retry: {max_attempts: 2, initial: 10ms}}
steps:
  - {id: say, worker: talk.say, with: {token: "{{ input.token }}"}, compensate: {worker: talk.unsay, with: {}}}
  - {id: crash, worker: talk.crash, timeout: 20s, with: {}, kind: readonly}
  - {id: refuse, worker: talk.refuse, with: {}, raises: [no], kind: readonly}
"""
WORKERS = '''
import asyncio, logging, os, time
from runner import BusinessError, Context, worker

log = logging.getLogger("shop.talk")

@worker("talk.say")
async def say(token: str, ctx: Context) -> None:
    log.info("asking with %s", token)
    await asyncio.to_thread(log.warning, "from a thread")

@worker("talk.unsay")
def unsay() -> None:
    log.info("taking it back")

@worker("talk.crash", readonly=True)
def crash(ctx: Context) -> None:
    ctx.log.info("attempt %d begins", ctx.attempt)
    if ctx.attempt == 1:
        time.sleep(2)  # its supervisor has the line a fifth of a second after it, on a quiet machine
        os._exit(3)

@worker("talk.refuse", readonly=True, raises=["no"])
def refuse() -> None:
    raise BusinessError("no", "not today")
'''


@pytest.fixture
def talking(project: Project) -> Project:
    (project.root / "definitions" / "talk.yaml").write_text(DEFINITION)
    (project.root / "workers" / "talk.py").write_text(WORKERS)
    return project


def test_a_newcomer_sees_what_a_run_did_and_when(talking: Project):
    with collector() as collecting:
        ended = talking.sagarun(
            "run", "definitions/talk.yaml", "--set", f"token={CANARY}", "--format", "json", code=1,
            environment={"OTEL_EXPORTER_OTLP_ENDPOINT": collecting.url},
        )
    run_id = ended.json["run_id"]
    shown = {look: talking.sagarun("show", run_id, f"--{look}", code=0).out for look in ("logs", "events")}
    assert CANARY not in "".join(shown.values())

    logs = shown["logs"]
    for line in ("shop.talk: asking with ***", "shop.talk: from a thread", "shop.talk: taking it back",
                 "sagarun.worker: attempt 1 begins", "sagarun.worker: attempt 2 begins"):
        assert line in logs
    assert "its process was lost, and its last moment with it" in logs
    assert "(1 of 5 attempts logged nothing)" in logs

    words = [line.split() for line in shown["events"].splitlines() if "  crash " in line]
    told = [word for row in words for word in ("dispatched", "claimed", "started", "lost", "completed") if word in row]
    assert told[:4] == ["dispatched", "claimed", "lost", "dispatched"]
    assert "queue" in shown["events"]

    (log,) = (talking.root / "logs").glob("*.log")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    (line,) = (line for line in lines if line["message"] == "from a thread")
    trace_id = run_span(run_id).trace_id
    assert line.items() >= {
        "run_id": run_id, "step": "say", "phase": "action", "attempt": 1, "worker": "talk.say", "trace_id": trace_id,
    }.items()
    assert f"by {line['process_id']} after" in shown["events"], "the log calls a process as the history does"
    assert all(line["process_id"] for line in lines if line.get("run_id") == run_id)
    assert {line["trace_id"] for line in lines if line.get("run_id") == run_id} == {trace_id}

    assert {span.trace_id.hex() for span in collecting.spans} == {trace_id}
    assert line["span_id"] in {span.span_id.hex() for span in collecting.spans}
    assert talking.run_json("trace", "--id", "--query", "workflow:talk status:over", code=0) == [
        {"run_id": run_id, "over": True, "trace_id": trace_id}
    ]  # fmt: skip
    (undone,) = (span for span in collecting.spans if span.name == "process talk.unsay")
    assert attributes(undone)["sagarun.phase"] == "compensate"
    assert len(undone.links) == 1
