"""What nobody is to see, and what nobody is to be fooled by: secrets of inputs, and control characters in data.

The values are canaries: everything that commands print and every log of the project is searched for them. (Secrets of
`http.request` are not even in the server: test_http_request.py searches its keys and files too.)
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence

import pytest
from click import Context

from runner.cli.main import group
from runner.client import Client
from tests.acceptance.program import PATIENCE_S, Project, await_line, soon
from tests.collector import Collector, collector
from tests.web import web_service

CANARY = "kanarienvogel-eingabe-4711"
NUMBER = 47110815
DEFINITION = """
workflow: token
version: 1.0.0
input:
  type: object
  properties:
    token: {type: string, x-secret: true, minLength: 8}
    number: {type: integer, x-secret: true}
    fail: {type: boolean, default: false}
    note: {type: string, default: ""}
  required: [token, number]
defaults: {retry: {max_attempts: 2, initial: 10ms}}
steps:
  - id: echo
    worker: canary.echo
    with: {value: "{{ input }}"}
    compensate: {worker: canary.undo, with: {value: "{{ input.token }}"}}
  - id: burst
    worker: canary.burst
    with: {value: "{{ input.token }}", fail: "{{ input.fail }}", note: "{{ input.note }}"}
    raises: [refused]
    compensate: {worker: canary.undo, with: {value: "{{ input.token }}"}}
output: {echo: "{{ steps.echo.output }}"}
"""
WORKERS = '''
from typing import Any
from runner import BusinessError, Context, worker

@worker("canary.echo")
def echo(value: Any) -> Any:
    return {"again": value, "text": f"Bearer {value['token']} {value['number']}"}

@worker("canary.undo")
def undo(value: str) -> None:
    pass

@worker("canary.stay")
def stay(value: str) -> None:
    raise RuntimeError(f"cannot take back {value}")

@worker("canary.burst", raises=["refused"])
def burst(value: str, fail: bool, note: str, ctx: Context) -> None:
    if note:
        raise BusinessError("refused", note, {"note": note})
    if fail and ctx.attempt == 1:
        raise RuntimeError(f"cannot use {value}")
    if fail:
        raise BusinessError("refused", f"{value} is not accepted", {"value": value})
'''


# Every command that shows what runs have: all the ways in which it does.
SHOWING: dict[str, Sequence[Sequence[str]]] = {
    "archive": [()],
    "show": [("RUN", *words) for words in (
        ("-v",), ("--format", "json"), ("--events",), ("--events", "--format", "json"), ("--timeline",),
        ("--timeline", "--format", "json"), ("--steps",), ("--steps", "--format", "json"), ("--logs",),
        ("--logs", "--format", "json"), ("--all", "--format", "jsonl"),
    )],
    "watch": [("RUN", "-v"), ("RUN", "--format", "jsonl")],
    "list": [(), ("--format", "json")],
    "trace": [("RUN", "--id")],
    "export": [("RUN",), ("RUN", "-o", "bundle.json")],
    "replay": [("bundle.json",), ("bundle.json", "--format", "jsonl"), ("bundle.json", "--until", "3", "-v")],
    "errors": [(), ("--all", "--format", "json"), ("show", "GROUP"), ("show", "GROUP", "--format", "json")],
    "stats": [(), ("--format", "json")],
    "queues": [("--format", "json")],
    "alerts": [(), ("--format", "json")],
    "metrics": [()],
    "doctor": [(), ("--format", "json")],
}  # fmt: skip
# All in one process, which is several times as fast as one for each.
ALL_OF_THEM = """
import json, sys
from runner.cli.main import invoke, prepare_streams
from runner.client import Client
prepare_streams()
with Client(root="."):  # so that the server stays
    for words in json.loads(sys.argv[1]):
        print("$ sagarun", *words, flush=True)
        assert invoke(words) in (0, 1, 3), words
"""
# These start or change runs, as `run` and `watch` follow them, ...
FOLLOWING = {"tail", "run", "rerun", "cancel", "resume", "resolve", "signal", "abandon", "schedule"}
# ... and these know of no run.
ELSEWHERE = {
    "validate", "fmt", "diff", "test", "schema", "explain", "explain-time", "graph", "engine", "worker", "workers",
    "lsp",
}


@pytest.fixture
def tokens(project: Project) -> Project:
    (project.root / "definitions" / "token.yaml").write_text(DEFINITION)
    (project.root / "workers" / "canary.py").write_text(WORKERS)
    with (project.root / "sagarun.yaml").open("a") as settings:
        settings.write("\narchive: sqlite:///archive/runs.db\n")
    return project


@pytest.fixture
def collecting(project: Project) -> Iterator[Collector]:
    """Where engines send traces to."""
    with collector() as made:
        project.environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = made.url
        yield made


def everything_shown(project: Project, run_id: str) -> str:
    """By the commands that show a run, and what is in the project's logs."""
    groups = project.run_json("errors", "--all")
    named = {"RUN": run_id, "GROUP": groups[0]["id"] if groups else ""}
    lines = [
        [command, *(named.get(word, word) for word in words)]
        for command, several in SHOWING.items() for words in several if groups or "GROUP" not in words
    ]  # fmt: skip
    process = subprocess.run(
        [sys.executable, "-P", "-c", ALL_OF_THEM, json.dumps(lines)], cwd=project.root, env=project.environment,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True,
    )
    return process.stdout + process.stderr + logs(project)


def logs(project: Project) -> str:
    found = [*(project.root / "logs").glob("*.log*"), *project.state.glob("*.log")]
    assert found
    return "\n".join(path.read_text() for path in found)


def started(project: Project, value: object, code: int) -> tuple[str, str]:
    """The run's id, and what was printed."""
    ended = project.sagarun("run", "definitions/token.yaml", "--input", "-", "--verbose", given=json.dumps(value),
                            code=code)
    (row,) = project.run_json("list", code=0)
    return row["run_id"], ended.out + ended.err


def test_of_every_command_it_is_said_whether_it_shows_runs():
    assert {*SHOWING, *FOLLOWING, *ELSEWHERE} == set(group.list_commands(Context(group)))


@pytest.mark.parametrize("fail", [False, True])
def test_values_that_the_schema_marks_are_in_nothing_that_is_shown_or_logged(
    tokens: Project, collecting: Collector, fail: bool
):
    run_id, printed = started(tokens, {"token": CANARY, "number": NUMBER, "fail": fail}, 1 if fail else 0)
    shown = printed + everything_shown(tokens, run_id)
    shown += "".join(str(request) for request in collecting.requests)
    assert collecting.spans, "it was sent"
    archived = "".join(path.read_bytes().decode("latin-1") for path in (tokens.root / "archive").iterdir())
    assert run_id in archived
    assert CANARY not in shown + archived
    assert str(NUMBER) not in shown + archived
    assert "***" in shown
    assert tokens.run_json("list", f"input.token:{CANARY}") == [], "nor can it be guessed"
    assert len(tokens.run_json("list", f"input.fail:{json.dumps(fail)}")) == 1
    document = tokens.run_json("show", run_id)
    assert document["input"] == {"token": "***", "number": "***", "fail": fail, "note": ""}
    if fail:
        assert (document["error"]["code"], document["error"]["message"]) == ("refused", "*** is not accepted")
        assert "run_id" in logs(tokens)
    else:
        assert document["output"]["echo"]["text"] == "Bearer *** ***"


ALERTS = """
alerts:
  every: 1s
  webhook: {url: "URL/status/204"}
  command: [sh, -c, "cat >> told"]
  rules:
    - {name: spike, when: error_spike}
    - {name: errors, when: error_rate, above: 1%, least: 1}
    - {name: failures, when: failed_runs, above: 1%, least: 1}
    - {name: stuck, when: stuck_runs}
"""


def test_they_are_in_nothing_that_is_told_while_it_happens(tokens: Project):
    """By who follows all runs, by alerts, by a port for metrics, and by commands that ask something of runs."""
    before, undo, after = DEFINITION.rpartition("canary.undo")
    definition = tokens.root / "definitions" / "token.yaml"
    definition.write_text(f"{before}canary.stay{after}compensation: {{retry: {{max_attempts: 1}}}}\n")
    assert undo
    values = [{"token": f"{CANARY}-{number}", "number": NUMBER, "fail": True} for number in range(12)]
    with web_service() as web, Client(root=tokens.root) as client:
        with (tokens.root / "sagarun.yaml").open("a") as settings:
            settings.write(ALERTS.replace("URL", web.url))
        tails = [tokens.start("tail", *words) for words in ((), ("--logs",), ("--logs", "--format", "jsonl"))]
        for tail in tails:
            await_line(tail, "listening", of="stderr")
        hosts = [tokens.start(kind, "--metrics", "127.0.0.1:0") for kind in ("engine", "worker")]
        ports = [await_line(host, "metrics on", of="stderr")[-1].split()[2] for host in hosts]
        runs = client.start_many(definition, values)
        soon(lambda: {run.status() for run in runs} == {"stuck"}, "all need a person")
        told = {"spike", "errors", "stuck"}
        soon(lambda: told <= {json.loads(each.body)["alert"] for each in web.received}, "alerts are told")
        urls = [port.removesuffix("/metrics;") for port in ports]
        pages = [fetch(url + path) for url in urls for path in ("/metrics", "/healthz", "/readyz")]
        asked = [
            tokens.sagarun("resolve", runs[0].id, "burst", "--as", "failed"),
            tokens.sagarun("resume", runs[1].id), tokens.sagarun("cancel", runs[1].id),
            tokens.sagarun("signal", runs[2].id, "nothing"),
            tokens.sagarun("abandon", runs[2].id),
            tokens.sagarun("rerun", runs[2].id),
            tokens.sagarun("errors", "show", tokens.run_json("errors", "--all")[0]["id"]),
        ]
        assert tokens.sagarun("export", runs[0].id, "-o", "one.json").code == 0
        posted = [each.body.decode() + str(each.headers) for each in web.received]
    shown = "\n".join([
        *pages, *posted, *(each.out + each.err for each in asked), *(stopped(each) for each in (*tails, *hosts)),
        (tokens.root / "told").read_text(), (tokens.root / "one.json").read_text(), logs(tokens),
    ])  # fmt: skip
    assert shown.count(runs[0].id) > 10
    assert "sagarun_" in shown
    assert "***" in shown
    assert CANARY not in shown
    assert str(NUMBER) not in shown


def fetch(url: str) -> str:
    """What is answered, also by a process that a busy machine keeps from being ready just then (503)."""
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.read().decode()


def stopped(process: subprocess.Popen[str]) -> str:
    """All that it had printed."""
    process.send_signal(signal.SIGINT)
    return "".join(process.communicate(timeout=PATIENCE_S))


def test_an_input_that_does_not_fit_is_not_quoted(tokens: Project):
    ended = tokens.sagarun("run", "definitions/token.yaml", "--set", "token=kanari", "--set", "number=x1y2z3", code=1)
    assert "kanari" not in ended.out + ended.err
    assert "x1y2z3" not in ended.out + ended.err
    assert "token" in ended.err


def test_a_secret_is_no_part_of_a_key(tokens: Project):
    text = DEFINITION.replace("version: 1.0.0", 'version: 1.0.0\nidempotency_key: "order-{{ input.token }}"')
    (tokens.root / "definitions" / "token.yaml").write_text(text)
    given = json.dumps({"token": CANARY, "number": NUMBER})
    ended = tokens.sagarun("run", "definitions/token.yaml", "--input", "-", given=given, code=1)
    assert "x-secret" in ended.err
    assert CANARY not in ended.out + ended.err


def test_control_characters_in_data_reach_no_terminal_and_make_no_lines(tokens: Project):
    forged = '{"level": "CRITICAL", "message": "FORGED"}'
    evil = f"ok\r\n\x1b[2J\x1b]0;owned\x07 \x9b31m \u202edlrow\u2028{forged}\nFORGED"
    run_id, printed = started(tokens, {"token": CANARY, "number": NUMBER, "note": evil}, 1)
    shown = printed + everything_shown(tokens, run_id)
    assert not [char for char in shown if not char.isprintable() and char not in "\n\t"]
    assert not [line for line in shown.splitlines() if line.lstrip().startswith(("FORGED", "{\"level\""))]
    for line in (tokens.root / "logs").glob("*.log"):
        assert all(isinstance(json.loads(row), dict) for row in line.read_text().split("\n") if row)
    assert tokens.run_json("show", run_id)["input"]["note"] == evil, "as JSON it is what it was"
