"""Steps without any code: `http.request` in a project that has no workers of its own, from the shell to a real service.

The secrets are canaries. After each test every file of the project, every key of a server and everything that was
printed is searched for them.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from runner.client import Client
from tests.acceptance.program import PATIENCE_S, Project, soon, without_workers
from tests.web import Web, web_service

IN_ENVIRONMENT, IN_FILE = "kanarienvogel-umgebung-4711", "kanarienvogel-datei-0815"
PAY = """
workflow: pay
version: 1.0.0
input: {type: object, properties: {charge: {type: string}}, required: [charge]}
defaults: {timeout: 5s, retry: {max_attempts: 3, initial: 50ms, max: 50ms}}
steps:
  - id: look
    worker: http.request
    with: {method: GET, url: "URL/json/7", headers: {X-Key: {secret: SHOP_KEY}}}
  - id: charge
    worker: http.request
    with:
      method: POST
      url: "URL{{ input.charge }}"
      headers: {Authorization: {secret: PAY_TOKEN, prefix: "Bearer "}}
      json: {reference: "{{ step.ref }}", amount: "{{ steps.look.output.json }}"}
      errors: {"402": card_declined}
    raises: [card_declined]
    compensate:
      worker: http.request
      with:
        method: POST
        url: URL/echo
        headers: {Authorization: {secret: PAY_TOKEN, prefix: "Bearer "}}
        json: {refund: "{{ step.ref }}"}
  - {id: note, worker: http.request, with: {method: GET, url: URL/echo, headers: {X-Key: {secret: SHOP_KEY}}}}
output: {total: "{{ steps.look.output.json }}", echo: "{{ steps.note.output.json.headers }}"}
"""
NO_WORKERS = """
workflow: sum
version: 1.0.0
vars: {total: 1}
steps:
  - set: {total: "{{ vars.total + 1 }}"}
output: {total: "{{ vars.total }}"}
"""


@pytest.fixture
def web() -> Iterator[Web]:
    with web_service() as running:
        yield running


@pytest.fixture
def printed() -> list[str]:
    return []


@pytest.fixture
def project(tmp_path: Path, web: Web, namespace: str, printed: list[str]) -> Iterator[Project]:
    root = tmp_path / "till"
    (root / "definitions").mkdir(parents=True)
    (root / "definitions/pay.yaml").write_text(PAY.replace("URL", web.url))
    (root / "definitions/sum.yaml").write_text(NO_WORKERS)
    (tmp_path / "key").write_text(f"{IN_FILE}\n")
    (root / "sagarun.yaml").write_text(
        f"project: {namespace}\nlog: {{level: debug}}\nhttp: {{allow: ['{web.url}']}}\n"
        "secrets: {PAY_TOKEN: {env: PAY_TOKEN_OF_TEST}, SHOP_KEY: {file: ../key}}\n"
    )
    known = {name: value for name, value in os.environ.items() if not name.startswith("SAGARUN_")}
    made = Project(root, known | {"PAY_TOKEN_OF_TEST": IN_ENVIRONMENT, "PYTHONDONTWRITEBYTECODE": "1"})
    made.environment["PYTHONPATH"] = str(without_workers(made))
    yield made
    made.close()
    printed += [path.read_bytes().decode("latin-1") for path in root.rglob("*") if path.is_file()]
    assert not [text for text in printed if IN_ENVIRONMENT in text or IN_FILE in text]


def pay(project: Project, printed: list[str], charge: str, code: int) -> dict[str, object]:
    ended = project.sagarun("definitions/pay.yaml", "--set", f"charge={charge}", "--format", "json", "-v", code=code)
    shown = project.sagarun("show", ended.json["run_id"], "--events", "-v", code=0)
    printed += [ended.out, ended.err, shown.out, shown.err]
    found: dict[str, object] = ended.json
    return found


def test_definitions_without_any_code_are_checked(project: Project):
    ended = project.sagarun("validate", code=0)
    assert "no problems in 2 files" in ended.err
    assert "built-in" in project.sagarun("doctor").out


def test_a_definition_without_worker_steps_runs(project: Project):
    assert project.run_json("definitions/sum.yaml", code=0)["output"] == {"total": 2}


def test_steps_without_code_run_and_what_they_send_is_known_to_nobody_else(
    project: Project, web: Web, printed: list[str]
):
    ended = pay(project, printed, "/json", 0)
    echo = ended["output"]["echo"]  # type: ignore[index]
    assert (ended["status"], echo["x-key"]) == ("completed", "***")
    look, charge, note = web.received
    assert (look.headers["x-key"], note.headers["x-key"]) == (IN_FILE, IN_FILE)
    assert charge.headers["authorization"] == f"Bearer {IN_ENVIRONMENT}"
    assert charge.headers["idempotency-key"] == f"{ended['run_id']}/charge:action"


def test_a_declared_refusal_undoes_nothing_of_its_own(project: Project, web: Web, printed: list[str]):
    ended = pay(project, printed, "/echo/402", 1)
    assert (ended["status"], ended["error"]["code"]) == ("compensated", "card_declined")  # type: ignore[index]
    assert [each.target for each in web.received][1:] == ["/echo/402"]


def test_an_answer_that_says_nothing_is_asked_again_with_its_key_and_then_undone(
    project: Project, web: Web, printed: list[str]
):
    ended = pay(project, printed, "/echo/500", 1)
    assert ended["status"] == "compensated"
    _, *charges, refund = web.received
    assert {each.headers["idempotency-key"] for each in charges} == {f"{ended['run_id']}/charge:action"}
    assert len(charges) == 3
    assert refund.headers["idempotency-key"] == f"{ended['run_id']}/charge:compensate"


def test_a_lost_answer_is_found_again_by_the_key(project: Project, web: Web, printed: list[str]):
    assert pay(project, printed, "/second/7", 0)["status"] == "completed"
    keys = [each.headers.get("idempotency-key") for each in web.received if each.target.startswith("/second")]
    assert len(keys) == 2
    assert len(set(keys)) == 1


def test_a_host_that_is_not_allowed_is_never_asked(project: Project, web: Web, printed: list[str]):
    secrets = "secrets: {SHOP_KEY: {file: ../key}, PAY_TOKEN: {env: PAY_TOKEN_OF_TEST}}"
    (project.root / "sagarun.yaml").write_text(secrets)
    ended = pay(project, printed, "/json", 1)
    assert ended["error"]["code"] == "http_not_allowed"  # type: ignore[index]
    assert web.received == []


def test_processes_of_their_own_serve_it_and_a_killed_one_is_made_up_for(
    project: Project, web: Web, printed: list[str], valkey_url: str, namespace: str
):
    project.environment["SAGARUN_REDIS_URL"] = valkey_url
    engine, worker = project.start("engine"), project.start("worker")
    with Client(valkey_url, root=project.root) as client:
        soon(lambda: len(client.store.processes()) == 2, "engine and worker are there")
        run = client.start("pay", {"charge": "/second/7"})
        soon(lambda: any(each.method == "POST" for each in web.received), "it was asked for the first time")
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        second = project.start("worker")
        client.store.reap(next(each.id for each in client.store.processes() if each.pid == worker.pid))
        assert run.result(timeout=PATIENCE_S).status == "completed"
    for process in (engine, second):
        process.send_signal(signal.SIGTERM)
        printed += list(process.communicate(timeout=PATIENCE_S))
    redis = Redis.from_url(valkey_url)
    stored = [redis.dump(key) for key in redis.scan_iter(match=f"*{namespace}*", count=1_000)]
    fields = [value for key in redis.scan_iter(match=f"*{namespace}*:run:*") for value in redis.hgetall(key).values()]
    assert len(stored) > 5
    assert any(b"***" in value for value in fields), "the echo is stored"
    assert not [value for value in [*stored, *fields] if b"kanarienvogel" in value]
    redis.close()
