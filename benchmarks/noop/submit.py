"""Starts runs as an application would: a client, and `start_many`."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

from contest.order import order
from contest.submitting import serve

from runner.client import Client

NUMBERS = count(1)
client = Client()  # the project and the server are found as `sagarun` finds them
definition = client.resolve_definition("noop")


def start_many(number: int) -> None:
    client.start_many(definition, [order(next(NUMBERS)) for _ in range(number)])


def start_one() -> Callable[[], None]:
    run = client.start(definition, order(next(NUMBERS)))

    def result() -> None:
        ended = run.result(timeout=30)
        assert ended.is_completed, ended

    return result


serve(start_many, start_one)
