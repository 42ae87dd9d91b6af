"""Starts chains; runs in Celery's own virtual environment."""

from __future__ import annotations

from itertools import count
from typing import Any

from celery import chain
from contest.order import order
from contest.submitting import serve
from tasks import last_step, step

NUMBERS = count(1)


def workflow(document: dict[str, Any]) -> Any:
    return chain(step.s(document), step.s(), step.s(), step.s(), last_step.s())


def start_many(number: int) -> None:
    """One call a workflow: Celery has none for many."""
    for _ in range(number):
        workflow(order(next(NUMBERS))).apply_async()


def start_one() -> None:
    workflow(order(next(NUMBERS))).apply_async()


serve(start_many, start_one)
