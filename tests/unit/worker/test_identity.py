"""Who a worker process is."""

from __future__ import annotations

import os

from runner.worker.identity import new_process_id, process_info


def test_an_id_is_never_used_again():
    assert len({new_process_id() for _ in range(100)}) == 100


def test_an_id_says_where_the_process_is():
    host, pid, _ = new_process_id().rsplit(":", 2)
    assert host
    assert int(pid) == os.getpid()


def test_the_entry_of_a_process_names_its_queues_and_its_lock():
    info = process_info("h:1:x", ["a", "b"], started_at_ms=7, lock="/tmp/x.lock")
    assert (info.id, info.kind, info.queues, info.started_at_ms) == ("h:1:x", "worker", ("a", "b"), 7)
    assert (info.lock, info.pid) == ("/tmp/x.lock", os.getpid())
