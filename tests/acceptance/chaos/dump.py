"""Everything that helps to see why nothing moves: state, the server's numbers, stacks, logs; into one folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import redis

from runner.store.keys import Keys
from tests.acceptance.chaos.cluster import Cluster

SHOWN = 12  # runs


def dump(cluster: Cluster, folder: Path) -> Path:
    """Stacks first: what comes after them takes time."""
    folder.mkdir(parents=True, exist_ok=True)
    _stacks(cluster, folder)
    _server(cluster, folder)
    _runs(cluster, folder)
    shutil.copytree(cluster.folder / "logs", folder / "output", dirs_exist_ok=True)
    for name in ("project/logs", "project/.sagarun"):
        if (cluster.folder / name).is_dir():
            shutil.copytree(cluster.folder / name, folder / Path(name).name.strip("."), dirs_exist_ok=True)
    shutil.copy(cluster.ledger, folder / "ledger.db")
    return folder


def _stacks(cluster: Cluster, folder: Path) -> None:
    spy = shutil.which("py-spy", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    with (folder / "stacks.txt").open("w") as output:
        for member in cluster.members:
            for pid in (member.pid, *member.children()):
                output.write(f"\n=== {member.kind} {member.pid}, process {pid}, stopped: {bool(member.stopped)}\n")
                output.write(_output([spy, "dump", "--pid", str(pid)]) if spy else _kernel_state(pid))


def _kernel_state(pid: int) -> str:
    """Without py-spy: at least what it waits for."""
    status = Path(f"/proc/{pid}/status")
    return status.read_text() if status.exists() else "gone\n"


def _server(cluster: Cluster, folder: Path) -> None:
    client = redis.Redis(unix_socket_path=str(cluster.socket), socket_timeout=5, decode_responses=True)
    keys = Keys("chaos")
    with (folder / "redis.txt").open("w") as output:
        try:
            output.write(json.dumps(client.info("all"), indent=1, default=str))
            for key in (keys.clock,):
                output.write(f"\n{key} {client.hgetall(key)}")
            for key in (keys.ready, keys.watch, keys.deadlines, keys.timers, keys.procs):
                output.write(f"\n{key} {client.zrange(key, 0, 200, withscores=True)}")
            for queue in client.smembers(keys.queues):
                output.write(f"\n{keys.queue(queue)} {client.llen(keys.queue(queue))}")
        except redis.RedisError as error:
            output.write(f"\nthe server does not answer: {error}")


def _runs(cluster: Cluster, folder: Path) -> None:
    listed = ""
    for status in ("pending", "running", "compensating", "stuck"):
        text = _sagarun(cluster, "list", "--status", status, "--limit", "1000", "--format", "json")
        listed += f"{status}\n{text}\n"
        try:
            runs = json.loads(text)
        except ValueError:
            continue
        for run in runs[:SHOWN]:
            shown = _sagarun(cluster, "show", run["run_id"], "--events", "--all")
            (folder / f"run-{run['run_id']}.txt").write_text(shown)
    (folder / "list.txt").write_text(listed)


def _sagarun(cluster: Cluster, *arguments: str) -> str:
    return _output(cluster.sagarun(*arguments), cwd=cluster.root, env=cluster.environment)


def _output(command: list[str], **options: Any) -> str:
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False, **options)
    except subprocess.TimeoutExpired as error:
        return f"no answer: {error}\n"
    return str(ended.stdout + ended.stderr)
