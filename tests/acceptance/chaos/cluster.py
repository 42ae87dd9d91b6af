"""The processes of a chaos: a server on an append-only file, engines, workers; killed, stopped, and replaced.

Rule: what is killed is killed with SIGKILL, and started again as a service manager would, at once.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from runner.store.embedded.process import answers, server_command
from tests.project.repository import ROOT
from tests.servers import until, valkey_binary

PROJECT = Path(__file__).parent / "project"
COMMANDS = {"engine": ["engine"], "worker": ["worker", "--children", "1", "--slots", "16", "--grace", "5s"]}
EXPECTED = (" 6: ", "before it was ready")  # exit code 6: it found no server


@dataclass(slots=True, eq=False)
class Member:
    """An engine or worker process."""

    kind: str
    process: subprocess.Popen[bytes]
    log: Path
    stopped: list[int] = field(default_factory=list)  # the pids that SIGSTOP was sent to
    resume_at: float = 0.0
    is_doomed: bool = False  # killed by us
    is_spared: bool = False  # not to be hit

    @property
    def pid(self) -> int:
        return self.process.pid

    def children(self) -> list[int]:
        return [child.pid for child in self.processes()]

    def processes(self) -> list[psutil.Process]:
        """Those that it has started."""
        try:
            return psutil.Process(self.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []


class Cluster:
    """In `folder`. A context manager; everything is gone when it is left."""

    def __init__(
        self, folder: Path, *, engines: int = 2, workers: int = 3, lease_ms: int = 0, has_barrier: bool = True,
        leak: int = 0,
    ) -> None:
        """leak: how many bytes engines and workers lose with each call of the store."""
        self.folder = folder
        self.root = folder / "project"
        self.ledger = folder / "ledger.db"
        self.socket = folder / "s"
        self.url = f"unix://{self.socket}"
        self.wanted = {"engine": engines, "worker": workers}
        self.members: list[Member] = []
        self.exits: Counter[str] = Counter()  # of processes that nobody killed
        self._changes = [str(lease_ms), str(leak)] if lease_ms or leak else []
        self._server: subprocess.Popen[bytes] | None = None
        self._server_resume_at = 0.0
        self._started = 0
        shutil.copytree(PROJECT, self.root, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("data", "logs"):
            (folder / name).mkdir()
        foreign = ("SAGARUN_REDIS_URL", "SAGARUN_CONFIG", "PYTHONDONTWRITEBYTECODE")
        self.environment = {key: value for key, value in os.environ.items() if key not in foreign} | {
            "PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": str(folder / "pycache"), "TERM": "dumb",
            "SAGARUN_REDIS_URL": self.url, "CHAOS_LEDGER": str(self.ledger),
            "CHAOS_BARRIER": "on" if has_barrier else "off",
        }  # fmt: skip

    def __enter__(self) -> Cluster:
        self.start_server()
        until(lambda: answers(self.socket), "the server answers")
        self.fill_up()
        return self

    def __exit__(self, *_: object) -> None:
        for member in self.members:
            _send(member.pid, signal.SIGSTOP)  # so that it starts no other child between the two
            children = member.processes()
            self.kill(member, *(child.pid for child in children))
            member.process.wait()
            psutil.wait_procs(children)
        if self._server is not None:
            self._server.kill()
            self._server.wait()

    # -- starting -------------------------------------------------------------------------------------
    def sagarun(self, *arguments: str) -> list[str]:
        """The command line of `sagarun`."""
        module = ["tests.acceptance.chaos.process", *self._changes] if self._changes else ["runner.cli.main"]
        return [sys.executable, "-P", "-m", *module, *arguments]

    def start_server(self) -> None:
        command = server_command(valkey_binary(), self.socket, self.folder / "data", "strict")
        self._server = self._popen(command, self.folder / "logs" / "server.log")

    def fill_up(self) -> None:
        """Start what is missing; notice what ended by itself."""
        for member in [each for each in self.members if each.process.poll() is not None]:
            self.members.remove(member)
            if not member.is_doomed:
                self.exits[f"{member.kind} {member.process.returncode}: {_last_error(member.log)}"] += 1
        for kind, count in self.wanted.items():
            for _ in range(count - len(self.active(kind))):
                self._started += 1
                log = self.folder / "logs" / f"{kind}-{self._started}.log"
                self.members.append(Member(kind, self._popen(self.sagarun(*COMMANDS[kind]), log), log))
        if self._server is not None and self._server.poll() is not None:
            self.start_server()

    def _popen(self, command: list[str], log: Path) -> subprocess.Popen[bytes]:
        if shutil.which("setpriv"):  # so that nothing stays behind when the chaos itself is killed
            command = ["setpriv", "--pdeathsig", "KILL", *command]
        with log.open("ab") as output:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=self.root, env=self.environment
            )

    # -- what there is --------------------------------------------------------------------------------
    def active(self, kind: str) -> list[Member]:
        """Those that run; the ones that are stopped count as away."""
        return [each for each in self.members if each.kind == kind and not each.stopped and not each.is_doomed]

    def exposed(self, kind: str) -> list[Member]:
        """Those that may be hit."""
        return [each for each in self.active(kind) if not each.is_spared]

    def spare(self) -> list[Member]:
        """One of each kind from now on."""
        spared = [self.active(kind)[0] for kind in self.wanted]
        for member in spared:
            member.is_spared = True
        return spared

    def stopped(self) -> list[Member]:
        return [each for each in self.members if each.stopped]

    @property
    def is_server_stopped(self) -> bool:
        return self._server_resume_at > 0

    def crashes(self) -> list[str]:
        """Processes that ended by themselves, and neither because the server was away nor because a blow hit their
        child before it was ready: then they say so and end, and a service manager starts them again."""
        return [f"{count}x {what}" for what, count in self.exits.items() if not any(word in what for word in EXPECTED)]

    # -- harm -----------------------------------------------------------------------------------------
    def kill(self, member: Member, *pids: int) -> None:
        """The process and these others of it."""
        member.is_doomed = True
        for pid in (member.pid, *pids):
            _send(pid, signal.SIGKILL)

    def kill_process(self, pid: int) -> None:
        """One of a member's own, which the member has to replace."""
        _send(pid, signal.SIGKILL)

    def stop(self, member: Member, pids: list[int], seconds: float) -> None:
        """For so long. Another one takes its place, and does not go when it comes back."""
        member.stopped, member.resume_at = pids, time.monotonic() + seconds
        for _ in range(50):
            for pid in pids:
                _send(pid, signal.SIGSTOP)
            if self._can_write():
                return
            # It was stopped while it wrote. That would be SQLite's standstill, for all, and nobody else's.
            for pid in pids:
                _send(pid, signal.SIGCONT)
            time.sleep(0.003)

    def kill_server(self) -> None:
        if self._server is not None:
            self._server_resume_at = 0.0
            self._server.kill()
            self._server.wait()
            self.start_server()

    def stop_server(self, seconds: float) -> None:
        if self._server is not None:
            _send(self._server.pid, signal.SIGSTOP)
            self._server_resume_at = time.monotonic() + seconds

    def resume(self, now: float = float("inf")) -> None:
        """Wake up whose time has come."""
        for member in self.stopped():
            if member.resume_at <= now:
                for pid in member.stopped:
                    _send(pid, signal.SIGCONT)
                member.stopped = []
        if self._server is not None and 0 < self._server_resume_at <= now:
            self._server_resume_at = 0.0
            _send(self._server.pid, signal.SIGCONT)

    def _can_write(self) -> bool:
        for _ in self._attempts(0.15):
            try:
                with sqlite3.connect(self.ledger, timeout=0, isolation_level=None) as connection:
                    connection.execute("BEGIN IMMEDIATE")
                    connection.execute("ROLLBACK")
                return True
            except sqlite3.OperationalError:
                continue
        return False

    @staticmethod
    def _attempts(seconds: float) -> Iterator[None]:
        by = time.monotonic() + seconds
        while time.monotonic() < by:
            yield
            time.sleep(0.002)


def _last_error(log: Path) -> str:
    found = [line for line in log.read_text(errors="replace").splitlines() if line.startswith("error: ")]
    return found[-1].removeprefix("error: ").split(": Error")[0] if found else "it said nothing"


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
