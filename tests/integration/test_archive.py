"""An archiver that is killed again and again loses nothing, and copies nothing twice."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import msgspec

from runner.store.ports import HELD_MS, Commit, NewRun
from runner.store.redis_store import RedisStore
from tests.servers import PATIENCE_S

RUNS = 400
BATCH, MOST_STEPS = 10, 8  # so that four cannot copy everything, however slow their killer is
PROGRAM = """
import sys, time
from pathlib import Path
from runner.archive import archiver
from runner.archive.archive import Archive
from runner.archive.database import open_database
from runner.client import Client
from runner.store.redis_store import RedisStore
url, namespace, root = sys.argv[1], sys.argv[2], Path(sys.argv[3])
archiver.BATCH = int(sys.argv[4])
store = RedisStore(url, namespace=namespace)
copier = archiver.Archiver(Client(root=root, store=store), Archive(open_database("sqlite:///a.db", root), namespace),
                           lambda status: 1)
print("begun", flush=True)
while sys.stdin.readline() and copier.step():  # a step for each line
    store.tick()
"""


def end_runs(store: RedisStore) -> list[str]:
    ids = [f"r{number:04}" for number in range(RUNS)]
    summary = msgspec.json.encode({"workflow": "w", "version": "1", "definition": "gone"})
    for begin in range(0, RUNS, 100):
        part = ids[begin : begin + 100]
        store.start([NewRun(run_id, "n", "d", summary, b"{}") for run_id in part])
        answers = store.commit([
            Commit(run_id, "", "e", 0, b"", "completed", terminal=True, retention_ms=HELD_MS) for run_id in part
        ])
        assert set(answers) == {"ok"}
    return ids


def test_a_killed_archiver_is_followed_by_another(valkey_url: str, namespace: str, tmp_path: Path):
    store = RedisStore(valkey_url, namespace=namespace)
    ids = end_runs(store)
    chance = random.Random(7)
    command = [sys.executable, "-c", PROGRAM, valkey_url, namespace, str(tmp_path), str(BATCH)]
    for _ in range(4):
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stdout.readline() == "begun\n"
            process.stdin.write("\n" * chance.randint(1, MOST_STEPS))
            process.stdin.flush()
            time.sleep(chance.uniform(0.0, 0.05))
            process.kill()
        _nothing_is_lost(store, ids, tmp_path)
        assert store.list_runs(limit=RUNS), "there is something left for the next one"
    subprocess.run(command, input="\n" * RUNS, text=True, check=True, timeout=4 * PATIENCE_S)
    store.tick()
    assert store.list_runs(limit=RUNS) == []
    assert _archived(tmp_path) == ids
    store.close()


def _nothing_is_lost(store: RedisStore, ids: list[str], root: Path) -> None:
    """Whatever the server has no more is in the archive; read in this order, for it may go in between."""
    there = {row.run_id for row in store.list_runs(limit=RUNS)}
    assert set(ids) - there <= set(_archived(root))


def _archived(root: Path) -> list[str]:
    with closing(sqlite3.connect(root / "a.db")) as database:
        return [run_id for (run_id,) in database.execute("SELECT run_id FROM sagarun_runs ORDER BY run_id")]
