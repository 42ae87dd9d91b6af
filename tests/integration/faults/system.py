"""A whole system in one process, on a server that a test may break: engines, a ticker, worker processes, a client.

What workers did is told by a file outside of Redis, one line an attempt, so that nothing which happens to the server
can happen to the evidence.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from redis import Redis

from runner.client import Client, RunHandle
from runner.definition.load import load_text
from runner.definition.model import Definition
from runner.engine.engine import Engine
from runner.engine.ticker import Ticker
from runner.store.embedded.process import answers, server_command
from runner.store.ports import ProcessInfo
from runner.store.redis_store import RedisStore
from runner.worker.identity import new_process_id
from runner.worker.process import WorkerProcess
from tests.servers import PATIENCE_S, until, valkey_binary

FULL = bool(os.environ.get("SAGARUN_FAULTS"))  # `make faults`: the same tests, at the length that is aimed at

# Three effects, of which the last is refused where the input says so.
DEFINITION = """
workflow: trip
version: 1.0.0
defaults: {timeout: 20s, retry: {max_attempts: 8, backoff: fixed, initial: 50ms}}
compensation: {retry: {max_attempts: 20, backoff: fixed, initial: 50ms}}
steps:
  - id: first
    worker: fault.book
    with: {ref: "{{ step.ref }}", seconds: "{{ input.seconds }}"}
    compensate: {worker: fault.cancel, with: {ref: "{{ step.ref }}"}}
  - id: second
    worker: fault.book
    with: {ref: "{{ step.ref }}", seconds: "{{ input.seconds }}"}
    compensate: {worker: fault.cancel, with: {ref: "{{ step.ref }}"}}
  - id: third
    worker: fault.decide
    with: {ref: "{{ step.ref }}", refuse: "{{ input.refuse }}"}
    raises: [refused]
    compensate: {worker: fault.cancel, with: {ref: "{{ step.ref }}"}}
"""

WORKERS = '''
import os, time
from typing import Any
from runner import BusinessError, Context, worker

def note(text: str) -> None:
    file = os.open(os.environ["FAULT_LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, (text + "\\n").encode())
    os.close(file)

@worker("fault.book")
def book(ref: str, seconds: float, ctx: Context) -> str:
    note(f"did {ref} {ctx.attempt}")
    time.sleep(seconds)
    return ref

@worker("fault.cancel")
def cancel(ref: str) -> None:
    note(f"undid {ref}")

@worker("fault.decide", raises=["refused"])
def decide(ref: str, refuse: bool) -> None:
    note(f"asked {ref}")
    if refuse:
        raise BusinessError("refused")

@worker("fault.poison")
def poison() -> None:
    note("struck poison")
    os._exit(1)

@worker("fault.linger")
def linger() -> None:
    """It is there when the poison strikes, and for a while after that."""
    note("lingered here")
    with open(os.environ["FAULT_LEDGER"]) as ledger:
        while "struck" not in ledger.read():
            time.sleep(0.01)
            ledger.seek(0)
    time.sleep(0.2)

def deep() -> list:
    value = []
    for _ in range(10_000):
        value = [value]
    return value

def circle() -> list:
    value = []
    value.append(value)
    return value

RESULTS = {
    "nan": lambda: float("nan"), "infinity": lambda: [1, float("-inf")], "bytes": lambda: b"\\xff\\xfe",
    "large": lambda: "x" * 10_000_000, "deep": deep, "circle": circle, "object": object, "huge": lambda: 10 ** 5000,
    "surrogate": lambda: "\\ud800", "function": lambda: len, "keys": lambda: {(1, 2): 3}, "iterator": lambda: iter([1]),
}

@worker("fault.result")
def result(kind: str) -> Any:
    return RESULTS[kind]()
'''


class Server:
    """A server that can be killed, stopped and started again at its address, with its data."""

    def __init__(self, binary: Path, durability: str, settings: Sequence[str], **options: Any) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="sr-"))  # not pytest's: its names can be too long for a socket
        self.url = f"unix://{self.folder}/s"
        self._command = [*server_command(binary, self.folder / "s", self.folder, durability), *settings]
        if shutil.which("setpriv"):  # so that it does not stay behind when the tests are killed
            self._command = ["setpriv", "--pdeathsig", "KILL", *self._command]
        self._options = options
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait: bool = True) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **self._options
            )
        if wait:
            until(lambda: answers(self.folder / "s") or not self.is_alive, "the server answers")
            assert self.is_alive, self.log

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    @property
    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def is_loaded(self) -> bool:
        return self.is_alive and answers(self.folder / "s")

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def restart(self) -> None:
        self.kill()
        self.start()

    def client(self) -> Redis:
        return Redis.from_url(self.url, decode_responses=True)

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self.folder)


@contextlib.contextmanager
def breakable_server(
    binary: Path | None = None, durability: str = "none", settings: Sequence[str] = (), **options: Any
) -> Iterator[Server]:
    server = Server(binary or valkey_binary(), durability, settings, **options)
    try:
        server.start()
        yield server
    finally:
        server.remove()


class System:
    """Engines and worker processes that share a server; each of them may be given another way to it."""

    def __init__(self, url: str, folder: Path, namespace: str = "faults") -> None:
        self.url = url
        self.folder = folder
        self.namespace = namespace
        self.failures: list[BaseException] = []
        self._ends = contextlib.ExitStack()
        self.ledger = folder / "ledger"
        self.ledger.touch()
        (folder / "fault_workers.py").write_text(WORKERS)
        os.environ["FAULT_LEDGER"] = str(self.ledger)
        sys.path.insert(0, str(folder))
        self.store = self.connect()
        self.client = Client(store=self.store, root=folder)
        self.definition = self.load(DEFINITION)

    def connect(self, url: str = "", **options: Any) -> RedisStore:
        return RedisStore.connect(url or self.url, namespace=self.namespace, **options)

    def load(self, text: str) -> Definition:
        return load_text(text, file="fault.yaml", root=self.folder)

    # -- processes ----------------------------------------------------------------------------------
    def engine(self, url: str = "", *, threads: int = 1, **options: Any) -> str:
        """An engine with its ticker, until the system ends. Its id."""
        store = self.connect(url, **options)
        process_id, stop = new_process_id(), threading.Event()
        store.register(ProcessInfo(process_id, "engine", "host", os.getpid()))
        engine = Engine(store, process_id=process_id)
        running = [threading.Thread(target=self._interpret, args=(engine, stop, loop)) for loop in range(threads)]
        running.append(Ticker(store, process_id, stop))
        for thread in running:
            thread.start()

        def end() -> None:
            stop.set()
            store.close()
            for thread in running:
                thread.join(PATIENCE_S)

        self._ends.callback(end)
        return process_id

    def _interpret(self, engine: Engine, stop: threading.Event, loop: int) -> None:
        try:
            engine.run(stop, loop)
        except BaseException as failure:
            if not stop.is_set():
                self.failures.append(failure)

    def worker(self, url: str = "", **options: Any) -> WorkerProcess:
        """A worker process, until the system ends."""
        store = self.connect(url)
        self._ends.callback(store.close)
        process = WorkerProcess(store, ["fault_workers"], **({"stop_grace_s": 0.1} | options))
        self._ends.callback(process.stop, 0)
        process.start()
        return process

    # -- runs ---------------------------------------------------------------------------------------
    def begin(
        self, count: int = 1, *, seconds: float = 0.0, refused: int = 0, definition: Definition | None = None
    ) -> list[RunHandle]:
        """The first `refused` of them are going to be undone."""
        inputs = [{"seconds": seconds, "refuse": number < refused} for number in range(count)]
        return list(self.client.start_many(definition or self.definition, inputs))

    def statuses(self, runs: Sequence[RunHandle], *, seconds: float = PATIENCE_S) -> Counter[str]:
        """How they ended."""
        until_s = time.monotonic() + seconds
        return Counter(run.result(timeout=max(0.1, until_s - time.monotonic())).status for run in runs)

    def told(self, word: str) -> Counter[str]:
        """How often each operation has told this of itself: did, undid, asked."""
        lines = [line.split() for line in self.ledger.read_text().splitlines()]
        return Counter(line[1] for line in lines if line[0] == word)

    @property
    def claims(self) -> int:
        """Attempts of actions that were begun."""
        return self.told("did").total() + self.told("asked").total()

    def close(self) -> None:
        self._ends.close()
        self.store.close()
        sys.path.remove(str(self.folder))


@contextlib.contextmanager
def system(url: str, folder: Path) -> Iterator[System]:
    made = System(url, folder)
    try:
        yield made
    finally:
        made.close()


@contextlib.contextmanager
def paused(server: Server) -> Iterator[None]:
    """Stopped as a virtual machine is: connections stay open, nothing is answered."""
    server.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server.signal(signal.SIGCONT)
