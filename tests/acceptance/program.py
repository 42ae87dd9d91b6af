"""The command line as a user has it: real processes in a project folder of the test's own, and what they leave behind.

The project is a copy of the order application; nothing here touches the checkout's own .sagarun, gateway or shop.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from runner.client import Client
from runner.store.process_lock import is_dead
from tests.project.repository import ROOT
from tests.servers import PATIENCE_S, until
from workers.gateway import process as gateway

COPIED = ("definitions", "schemas", "workers")
SILENT = ("definitions/order.yaml", "--case", "payment_timeout_charged")


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that is over."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(slots=True)
class Project:
    """A copy of the order application, and the `sagarun` command in it."""

    root: Path
    environment: dict[str, str]
    running: list[subprocess.Popen[str]] = field(default_factory=list)

    def sagarun(self, *arguments: str, code: int | None = None, given: str | None = None, **options: Any) -> Ended:
        """Run a command to its end; with `code`, see that it ends with that one. `given` is its standard input."""
        if given is not None:
            options["stdin"] = subprocess.PIPE
        process = self.start(*arguments, **options)
        out, err = process.communicate(given, timeout=PATIENCE_S)
        ended = Ended(process.returncode, out, err)
        if code is not None:
            assert ended.code == code, f"{arguments}: exit {ended.code}\n{out}\n{err}"
        return ended

    def start(self, *arguments: str, environment: Mapping[str, str] | None = None, **options: Any) -> Any:
        """Start a command."""
        settings: dict[str, Any] = {
            "cwd": self.root, "stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
            "text": True, **options,
        }
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "runner.cli.main", *arguments],
            env=self.environment | dict(environment or {}), **settings,
        )
        self.running.append(process)
        return process

    def run_json(self, *arguments: str, code: int | None = None) -> Any:
        """The one object that `--format json` prints."""
        return self.sagarun(*arguments, "--format", "json", code=code).json

    def status(self, run_id: str) -> str:
        """Asked without a process, as what is asked again and again should be."""
        with Client(self.environment.get("SAGARUN_REDIS_URL"), root=self.root) as client:
            return client.get(run_id).status()

    # -- a charge in the air --------------------------------------------------------------------------
    def wait_for_silence(self) -> None:
        """A gateway that does not answer is waited for until `hang_up`; nobody loses patience before."""
        gateway.stop(self.ledger)  # one that is there has been told to be silent for a moment only
        order = self.root / "definitions/order.yaml"
        text = order.read_text()
        assert text.count("timeout: 8s") == 1
        order.write_text(text.replace("timeout: 8s", f"timeout: {2 * PATIENCE_S:.0f}s"))
        self.environment |= dict.fromkeys(("PAYMENT_GATEWAY_TIMEOUT_S", "GATEWAY_SILENCE_S"), f"{1.5 * PATIENCE_S}")

    def charge_in_the_air(self, **options: Any) -> tuple[subprocess.Popen[str], str]:
        """A command whose order is reserved, and charged by a gateway that does not answer; and its run."""
        self.wait_for_silence()
        process = self.start(*SILENT, **options)
        run_id = await_line(process, "▶")[-1].split()[5]
        await_line(process, "reserve")
        soon(lambda: self.charges("ORD-004"), "the gateway has charged the order")
        return process, run_id

    def hang_up(self) -> None:
        """Whoever waits for the gateway learns that no answer comes; whoever asks it next starts it again."""
        address = gateway.find(self.ledger)
        assert address is not None
        os.kill(address.pid, signal.SIGKILL)

    def close(self) -> None:
        for process in self.running:
            if process.poll() is None:
                process.kill()
            process.communicate()
        until(lambda: not self.hosts(), "no host is left")
        gateway.stop(self.ledger)

    # -- what is there --------------------------------------------------------------------------------
    @property
    def state(self) -> Path:
        return self.root / ".sagarun"

    @property
    def ledger(self) -> Path:
        return self.state / "gateway.db"

    def hosts(self) -> list[Path]:
        """Commands that host an engine now (a background host outlives its command for a moment)."""
        return [path for path in (self.state / "hosts").glob("*.json") if not is_dead(path)]

    def query(self, database: str, question: str, *values: Any) -> list[tuple[Any, ...]]:
        """Of shop or gateway. No rows where the file was never made: then nothing was ever written."""
        path = self.state / f"{database}.db"
        if not path.exists():
            return []
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=PATIENCE_S)) as connection:
            if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                return []  # it is being made
            return connection.execute(question, values).fetchall()

    def charges(self, order: str) -> list[tuple[str, int, int]]:
        """Every charge that the gateway ever made for an order: status, amount, refunded."""
        question = "SELECT status, amount, refunded FROM charges WHERE reference = ? AND id IS NOT NULL"
        return self.query("gateway", question, order)

    def books(self) -> Books:
        return Books(
            stock=dict(self.query("shop", "SELECT sku, available FROM stock")),
            holds=sorted(self.query("shop", "SELECT order_id, sku, quantity FROM holds")),
            payments=sorted(self.query("shop", "SELECT order_id, amount FROM payments WHERE status = 'charged'")),
            shipments=sorted(self.query("shop", "SELECT order_id FROM shipments WHERE status = 'shipped'")),
            taken=sum(amount - refunded for amount, refunded in self.query(
                "gateway", "SELECT amount, refunded FROM charges WHERE id IS NOT NULL")),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Books:
    """What shop and gateway have on record: equal before and after an order that was undone."""

    stock: Mapping[str, int]
    holds: Sequence[tuple[Any, ...]]
    payments: Sequence[tuple[Any, ...]]
    shipments: Sequence[tuple[Any, ...]]
    taken: int


def copy_project(root: Path, name: str = "") -> Project:
    """The order application in `root`; `name` replaces the project's, for a server that others use too."""
    for folder in COPIED:
        # With what Python has compiled, which is a third of a command's time; not with what it is just writing.
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("*.pyc.*"))
    config = (ROOT / "sagarun.yaml").read_text()
    if name:
        lines = [f"project: {name}" if line.startswith("project:") else line for line in config.splitlines()]
        config = "\n".join(lines) + "\n"
    (root / "sagarun.yaml").write_text(config)
    foreign = (
        "SAGARUN_REDIS_URL", "SAGARUN_CONFIG", "PAYMENT_GATEWAY_URL", "SHOP_DB", "GATEWAY_DB", "FORCE_COLOR",
        "PYTHONDONTWRITEBYTECODE", "PAYMENT_GATEWAY_TIMEOUT_S",
    )  # fmt: skip
    environment = {key: value for key, value in os.environ.items() if key not in foreign}
    environment |= {
        "PYTHONPATH": str(ROOT), "GATEWAY_IDLE_S": "120",
        "GATEWAY_SILENCE_S": "0.2", "TERM": "dumb",
    }
    return Project(root, environment)


def without_workers(project: Project) -> Path:
    """A path with `runner` on it and no `workers`: the checkout has both."""
    folder = project.root.parent / "path"
    folder.mkdir()
    for name in ("runner", "schemas"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def await_line(process: subprocess.Popen[str], word: str, *, of: Literal["stdout", "stderr"] = "stdout") -> list[str]:
    """Read a command's output up to the line that has this word."""
    stream = process.stdout if of == "stdout" else process.stderr
    assert stream is not None
    seen = []
    for line in stream:
        seen.append(line)
        if word in line:
            return seen
    raise AssertionError(f"it ended without {word!r}: {''.join(seen)}\n{process.stderr and process.stderr.read()}")


def soon(fact: Callable[[], object], what: str) -> None:
    until(fact, what)
