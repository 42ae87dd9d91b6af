"""One side of the contest: its processes, and how it is measured. Both sides pass through exactly this code.

A measurement: start everything, warm it up, time some workflows alone, then submit many and take the time from the
first start to the last end. CPU seconds are read per group of processes, before and after.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from contest import tally
from contest.server import Server

WARM_UP = 100
PATIENCE_S = 120.0  # for anything; a benchmark that hangs is a result too, and has to end
STEPS = 5
SUBMITTER = "submitter"


@dataclass(frozen=True, slots=True)
class Command:
    """A process of one side. Those of one group are added up."""

    group: str
    arguments: Sequence[str]


@dataclass(frozen=True, slots=True)
class Side:
    """How one system is started. `live`: how many workflows are not recorded as ended; None: nothing is recorded."""

    name: str
    folder: Path
    environment: Mapping[str, str]
    processes: Sequence[Command]
    submitter: Sequence[str]
    live: Callable[[], int] | None = None


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run of one side."""

    side: str
    tier: str
    workflows: int
    seconds: float
    per_second: float
    alone_last_step_ms: float  # p50, from before the start until the last step runs
    alone_result_ms: float | None  # p50, until the recorded result is back at the client
    commands_per_workflow: float
    reads_per_step: float
    cpu_per_1000: Mapping[str, float]


class Contender:
    """The processes of a side, running. Use as a context manager: nothing survives it."""

    def __init__(self, side: Side, server: Server, scratch: Path) -> None:
        self._side = side
        self._server = server
        self._scratch = scratch
        self._tally = scratch / "tally"
        self._tally.touch()
        self._groups: dict[str, list[subprocess.Popen[str]]] = {}
        self._ended = ExitStack()

    def __enter__(self) -> Contender:
        try:
            for command in self._side.processes:
                self._start(command.group, command.arguments)
            self._submitter = self._start(SUBMITTER, self._side.submitter)
            self._answer()
        except BaseException:
            self._ended.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.close()

    def measure(self, tier: str, workflows: int, alone: int) -> Measurement:
        self._ask("many", WARM_UP)
        self._await_all(WARM_UP)
        lone = self._ask("alone", alone) if alone else {"last_step_ms": [], "result_ms": []}
        before = WARM_UP + alone
        self._await_all(before)
        time.sleep(0.5)  # whatever is still being tidied up belongs to what came before

        counters, cpu = self._server.counters(), self._cpu()
        submitted = self._ask("many", workflows)
        ended_ns = self._await_all(before + workflows)
        counters, spent = self._server.counters().since(counters), self._cpu()
        seconds = (ended_ns - submitted["began_ns"]) / 1e9
        return Measurement(
            side=self._side.name,
            tier=tier,
            workflows=workflows,
            seconds=seconds,
            per_second=workflows / seconds,
            alone_last_step_ms=_p50(lone["last_step_ms"]) or 0.0,
            alone_result_ms=_p50(lone["result_ms"]),
            commands_per_workflow=counters.commands / workflows,
            reads_per_step=counters.reads / (workflows * STEPS),
            cpu_per_1000={group: (spent[group] - cpu[group]) * 1000 / workflows for group in spent},
        )

    def _start(self, group: str, arguments: Sequence[str]) -> subprocess.Popen[str]:
        members = self._groups.setdefault(group, [])
        with (self._scratch / f"{group}-{len(members)}.log").open("wb") as log:
            process = subprocess.Popen(
                arguments,
                cwd=self._side.folder,
                env={**os.environ, **self._side.environment, tally.ENVIRONMENT: str(self._tally)},
                stdin=subprocess.PIPE if group == SUBMITTER else subprocess.DEVNULL,
                stdout=subprocess.PIPE if group == SUBMITTER else log,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        self._ended.callback(_end, process)
        members.append(process)
        return process

    def _ask(self, verb: str, number: int) -> dict[str, Any]:
        assert self._submitter.stdin is not None
        self._submitter.stdin.write(f"{verb} {number}\n")
        self._submitter.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._submitter.stdout is not None
        line = self._submitter.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._side.name}: the submitter ended\n{self._logs()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _await_all(self, number: int) -> int:
        """Wait until so many workflows have ended since the start; when that was, in monotonic nanoseconds."""
        give_up_at = time.monotonic() + PATIENCE_S
        while tally.count(self._tally) < number:
            self._check(give_up_at, f"{tally.count(self._tally)} of {number} workflows reached their last step")
            time.sleep(0.005)
        if self._side.live is None:
            return tally.last_ns(self._tally)
        while (live := self._side.live()) > 0:
            self._check(give_up_at, f"{live} of {number} workflows are not recorded as ended")
            time.sleep(0.005)
        return time.monotonic_ns()

    def _check(self, give_up_at: float, progress: str) -> None:
        for group, members in self._groups.items():
            for process in members:
                if process.poll() is not None:
                    raise RuntimeError(f"{self._side.name}: a {group} process ended; {progress}\n{self._logs()}")
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"{self._side.name}: after {PATIENCE_S:.0f} s, {progress}\n{self._logs()}")

    def _logs(self) -> str:
        tails = [f"--- {path.name}\n{path.read_text(errors='replace')[-2000:]}" for path in self._scratch.glob("*.log")]
        return "\n".join(tails)

    def _cpu(self) -> dict[str, float]:
        roots = {**self._groups, "server": [self._server.process]}
        return {group: sum(_cpu_seconds(process.pid) for process in members) for group, members in roots.items()}


def _cpu_seconds(pid: int) -> float:
    """Of a process and everything below it, ended children included."""
    root = psutil.Process(pid)
    return sum(sum(process.cpu_times()[:4]) for process in [root, *root.children(recursive=True)])


def _end(process: subprocess.Popen[str]) -> None:
    """Politely, then by force; with everything that it started and that stayed in its session."""
    below = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    process.terminate()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
    for child in below:
        if child.is_running():
            child.kill()


def _p50(values: Sequence[float]) -> float | None:
    return median(values) if values else None
