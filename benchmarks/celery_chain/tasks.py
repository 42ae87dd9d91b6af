"""Five tasks that do nothing, for Celery; runs in Celery's own virtual environment."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from contest import tally

app = Celery("tasks", broker=os.environ["CELERY_BROKER"])
app.conf.update(
    task_ignore_result=True,
    worker_prefetch_multiplier=64,
    worker_hijack_root_logger=False,
    worker_send_task_events=False,
    broker_connection_retry_on_startup=True,
)


@app.task
def step(order: dict[str, Any]) -> dict[str, Any]:
    return order


@app.task
def last_step(order: dict[str, Any]) -> dict[str, Any]:
    tally.mark()
    return order
