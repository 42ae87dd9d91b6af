"""Every wrong word, file and server: a clear error, the right exit code, and never a traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.program import PATIENCE_S, Project, without_workers

ORDER = "definitions/order.yaml"

USAGE = [
    (("rnu",), 'there is no command "rnu". Did you mean "run"?'),
    (("run",), "missing argument 'FILE'"),
    (("run", ORDER, "--cse", "x"), "no such option '--cse'"),
    (("run", ORDER, "--wait", "soon"), '"soon" is not a duration'),
    (("run", ORDER, "--format", "xml"), "'xml' is not one of"),
    (("run", ORDER, "--case", "succes"), 'Did you mean "success"?'),
    (("run", ORDER, "--case", "success", "--input", "x.json"), "leave one out"),
    (("run", ORDER, "--detach", "--wait", "1s"), "--detach does not wait"),
    (("run", ORDER, "--key", ""), "the key is empty"),
    (("run", ORDER, "--set", "total"), "a.b=text or a.b:=json is needed"),
    (("run", ORDER, "--input", "nowhere.json"), "nowhere.json cannot be read"),
    (("definitions/oder.yaml",), 'is not there. Did you mean "definitions/order.yaml"?'),
    (("order.yaml",), 'is not there. Did you mean "definitions/order.yaml"?'),
    (("trip.yaml",), 'is not there. Did you mean "definitions/trip_booking.yaml"?'),
    (("zzz.yaml",), "is not there. definitions has: fulfilment, order, renewal, returns, trip_booking"),
    (("run", "oder"), 'is not there. Did you mean "order"?'),
    (("run", "definitions"), "is a folder, not a file"),
    (("run", "/dev/null"), "is not a file; standard input is read for -"),
    (("x" * 300 + ".yaml",), "File name too long"),
    (("order",), 'Did you mean "run order"?'),
    (("show", "zzzz"), "there is no run 'zzzz'"),
    (("show", "not an id!"), "there is no run"),
    (("resolve", "zzzz", "charge"), "missing option '--as'"),
    (("resolve", "zzzz", "charge", "--as", "failed", "--output", "1"), "--output belongs to --as completed"),
    (("signal", "zzzz"), "RUN NAME is wanted, and given is: zzzz"),
    (("list", "--limit", "0"), "0 is not in the range"),
    (("validate", "nowhere"), "there is no file or folder nowhere"),
    (("--config", "nowhere.yaml", "list"), "there is no settings file nowhere.yaml"),
    (("--redis-url", "http://127.0.0.1", "list"), "is not the URL of a Redis server"),
    (("worker", "no_such_module"), "there is no module 'no_such_module'"),
]


@pytest.mark.parametrize(("arguments", "message"), USAGE, ids=[" ".join(arguments) for arguments, _ in USAGE])
def test_a_wrong_command_line_is_told_and_starts_nothing(project: Project, arguments: tuple[str, ...], message: str):
    ended = project.sagarun(*arguments, code=2)
    assert ended.out == ""
    assert any(line.startswith("error: ") for line in ended.err.splitlines())
    assert message in ended.err
    assert "Traceback" not in ended.err
    assert not (project.state / "shop.db").exists()


UNREACHABLE = ["redis://127.0.0.1:1/0", "unix:///nowhere/redis.sock"]


@pytest.mark.parametrize("url", UNREACHABLE)
@pytest.mark.parametrize(
    "arguments", [(ORDER,), ("list",), ("engine", "--patience", "0s"), ("worker", "--patience", "0s")],
    ids=lambda words: words[0],
)  # fmt: skip
def test_a_server_that_is_not_there_is_exit_code_6(project: Project, url: str, arguments: tuple[str, ...]):
    ended = project.sagarun("--redis-url", url, *arguments, code=6)
    assert f"error: Redis at {url} cannot be reached" in ended.err
    assert "it was named by --redis-url" in ended.err
    assert "Traceback" not in ended.err


def test_a_definition_with_a_mistake_is_shown_with_a_caret_and_not_started(project: Project):
    path = project.root / ORDER
    path.write_text(path.read_text().replace("steps.validate.output.total", "steps.validte.output.total"))
    ended = project.sagarun(ORDER, code=1)
    assert ended.out == ""
    assert 'error[SR204]: no step "validte" before "charge"' in ended.err
    assert "^^^^^^^ did you mean" in ended.err
    assert not (project.state / "shop.db").exists()


def test_a_definition_may_come_from_standard_input(project: Project):
    text = (project.root / ORDER).read_text().replace("../schemas", "schemas")
    ended = project.sagarun("-", given=text, code=0)
    assert "completed in" in ended.out


def test_a_mistake_in_standard_input_is_told_with_its_line(project: Project):
    ended = project.sagarun("-", given="workflow: x\nstep: []\n", code=1)
    assert 'standard input:2:1: error[SR102]: unknown key "step"' in ended.err
    assert "2 | step: []" in ended.err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import no_such_package\n", "workers/broken.py:1: ModuleNotFoundError: No module named 'no_such_package'"),
        ("x = 1\nx.y.z\n", "workers/broken.py:2: AttributeError: 'int' object has no attribute 'y'"),
        ("def f(:\n", "workers/broken.py:1: SyntaxError: "),
        ("import sys\nsys.exit(3)\n", "workers/broken.py:2: SystemExit: 3"),
    ],
    ids=["import", "attribute", "syntax", "exit"],
)
@pytest.mark.parametrize("arguments", [(ORDER,), ("validate", "--live"), ("engine",)], ids=lambda words: words[0])
def test_workers_that_cannot_be_imported_are_told_with_their_line(
    project: Project, arguments: tuple[str, ...], text: str, message: str
):
    (project.root / "workers/broken.py").write_text(text)
    ended = project.sagarun(*arguments, code=2)
    assert "error: the workers cannot be imported" in ended.err
    assert message in ended.err
    assert "Traceback" not in ended.err


def test_a_set_that_names_nothing_of_the_schema_is_told(project: Project):
    path = project.root / "schemas/order.schema.json"
    path.write_text(path.read_text().replace('"additionalProperties": false', '"additionalProperties": true'))
    ended = project.sagarun(ORDER, "--set", "custmer_id=C-9", code=0)
    assert '! --set custmer_id=C-9: the schema has no "custmer_id". Did you mean "customer_id"?' in ended.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_what_cannot_be_printed_is_told_by_the_exit_code_and_the_run_ends_all_the_same(project: Project):
    with Path("/dev/full").open("w") as full:
        ended = project.sagarun(ORDER, "--case", "success", code=2, stdout=full)
    assert "error: stdout cannot be written: No space left on device" in ended.err
    assert "Traceback" not in ended.err
    assert [run["status"] for run in project.run_json("list", code=0)] == ["completed"]


def test_a_closed_stderr_harms_nothing(project: Project):
    shell = ["sh", "-c", 'exec "$0" -P -m runner.cli.main "$@" 2>&-', sys.executable, ORDER]
    ended = subprocess.run(
        shell, cwd=project.root, env=project.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
        check=False, timeout=PATIENCE_S,
    )  # fmt: skip
    assert "completed in" in ended.stdout
    assert ended.returncode == 0


def test_on_a_server_where_no_worker_was_yet_that_is_said_and_the_lock_file_counts(project: Project, redis7_url: str):
    ended = project.sagarun("--redis-url", redis7_url, "definitions/returns.yaml", "--detach", code=0)
    assert "nothing is known of the workers" in ended.err
    path = project.root / ORDER  # of a worker that only reads nothing more has to be said
    path.write_text(path.read_text().replace("kind: readonly", "summary: looks"))
    project.sagarun("--redis-url", redis7_url, ORDER, "--detach", code=0)


def test_a_project_without_workers_is_told_what_to_do(project: Project):
    (project.root / "workers").rename(project.root / "arbeiter")
    ended = project.sagarun(ORDER, code=1, environment={"PYTHONPATH": str(without_workers(project))})
    assert "there is no worker" in ended.err
    assert "the project has no workers of its own" in ended.err
    assert "--workers" in ended.err


def test_settings_with_a_mistake_are_told_with_their_line(project: Project):
    (project.root / "sagarun.yaml").write_text("projct: shop\n")
    ended = project.sagarun("list", code=2)
    assert 'sagarun.yaml:1:1: error[SR102]: unknown key "projct" (did you mean "project"?)' in ended.err


def test_a_log_that_cannot_be_written_is_told(project: Project):
    (project.root / "logs").write_text("a file, not a folder")
    ended = project.sagarun(ORDER, code=2)
    assert "error: the log file" in ended.err


def test_what_workers_print_never_mixes_with_the_data(project: Project):
    path = project.root / "workers/orders.py"
    path.write_text(path.read_text() + "\nprint('a worker module that talks')\n")
    ended = project.sagarun(ORDER, "--format", "json", code=0)
    assert ended.json["status"] == "completed"
    assert "a worker module that talks" in ended.err


def test_no_colour_and_no_box_reaches_a_pipe(project: Project):
    ended = project.sagarun(ORDER, code=0)
    assert "\x1b" not in ended.out + ended.err


def test_the_order_of_settings_is_flag_environment_file(project: Project, redis7_url: str):
    dead = "redis://127.0.0.1:1/0"
    (project.root / "sagarun.yaml").write_text(f"project: order\nredis_url: {dead}\n")
    assert "redis_url in sagarun.yaml" in project.sagarun("list", code=6).err
    environment = {"SAGARUN_REDIS_URL": "unix:///nowhere.sock"}
    assert "SAGARUN_REDIS_URL" in project.sagarun("list", environment=environment, code=6).err
    project.sagarun("--redis-url", redis7_url, "list", environment=environment, code=0)
    project.sagarun("list", "--redis-url", redis7_url, environment=environment, code=0)


def test_doctor_says_what_is_wrong(project: Project):
    assert project.sagarun("doctor", code=0).out.count("✗") == 0
    project.sagarun(ORDER, "--case", "refund_refused", code=3)
    ended = project.sagarun("doctor", code=1)
    assert "1 live, 1 of them stuck" in ended.out
    topics = {finding["topic"]: finding for finding in project.sagarun("doctor", "--format", "json", code=1).json}
    assert topics["durability"]["text"].startswith("strict")
    assert topics["server"]["text"].startswith("embedded Valkey")


def test_doctor_says_what_named_the_server(project: Project):
    ended = project.sagarun("doctor", environment={"SAGARUN_REDIS_URL": "redis://127.0.0.1:1/0"}, code=1)
    assert "✓ redis       named by SAGARUN_REDIS_URL\n" in ended.out


def test_what_can_be_checked_without_workers_is_offered(project: Project):
    (project.root / "workers").rename(project.root / "arbeiter")
    (project.root / "schemas/workers.json").unlink()
    environment = {"PYTHONPATH": str(without_workers(project))}
    assert "--no-workers" in project.sagarun("validate", code=1, environment=environment).err
    project.sagarun("validate", "--no-workers", code=0, environment=environment)


def test_the_log_is_json_lines_and_names_the_run(project: Project):
    run_id = project.run_json(ORDER, code=0)["run_id"]
    lines = [json.loads(line) for line in (project.root / "logs/order-processing.log").read_text().splitlines()]
    assert {line["run_id"] for line in lines if "run_id" in line} == {run_id}
    assert all({"time", "level", "logger", "pid", "message"} <= line.keys() for line in lines)
