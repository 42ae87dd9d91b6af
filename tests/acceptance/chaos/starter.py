"""Starts the runs as an application would, through `Client`, and asks again when the server was away."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path

from runner.client import Client
from runner.definition.model import Definition
from runner.errors import StoreUnavailable
from tests.acceptance.chaos.scenarios import SCENARIOS, PlannedRun

BATCH = 40


class Starter(threading.Thread):
    """Keeps about `window` runs under way. `by_id` has every run whose start was acknowledged."""

    def __init__(
        self, root: Path, url: str, planned: Sequence[PlannedRun], window: int, pause_s: float,
        count_live: Callable[[], int | None], batch: int = BATCH,
    ) -> None:  # fmt: skip
        super().__init__(name="chaos-starter", daemon=True)
        self.by_id: dict[str, int] = {}
        self.again = 0  # starts that were asked for again
        self.failure: BaseException | None = None
        self.is_done = threading.Event()
        self.stop = threading.Event()
        self._root, self._url = root, url
        self._planned, self._window, self._pause_s, self._count_live = planned, window, pause_s, count_live
        self._batch = batch

    def run(self) -> None:
        try:
            with Client(self._url, root=self._root) as client:
                folder = self._root / "definitions"
                definitions = {name: client.resolve_definition(folder / f"{name}.yaml") for name in SCENARIOS}
                for at in range(0, len(self._planned), self._batch):
                    self._await_room()
                    self.stop.wait(self._pause_s)
                    batch = sorted(self._planned[at : at + self._batch], key=lambda run: run.workflow)
                    for workflow, runs in groupby(batch, key=lambda run: run.workflow):
                        self._start(client, definitions[workflow], list(runs))
        except BaseException as error:
            self.failure = error
        finally:
            self.is_done.set()

    def _await_room(self) -> None:
        while not self.stop.is_set():
            live = self._count_live()
            if live is not None and live < self._window:
                return
            self.stop.wait(0.05)

    def _start(self, client: Client, definition: Definition, runs: Sequence[PlannedRun]) -> None:
        while not self.stop.is_set():
            try:
                handles = client.start_many(definition, [run.input for run in runs])
            except StoreUnavailable:
                self.again += 1
                continue
            self.by_id |= {handle.id: run.number for handle, run in zip(handles, runs, strict=True)}
            return
