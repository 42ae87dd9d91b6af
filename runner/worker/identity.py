"""Who a worker process is in the store. An id is never used again, also not by the same process after it was reaped."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Sequence

from runner.store.ports import ProcessInfo


def new_process_id() -> str:
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(6)}"


def process_info(process_id: str, queues: Sequence[str], *, started_at_ms: int, lock: str = "") -> ProcessInfo:
    return ProcessInfo(
        process_id, "worker", socket.gethostname(), os.getpid(),
        started_at_ms=started_at_ms, queues=tuple(queues), lock=lock,
    )
