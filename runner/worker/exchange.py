"""The conversation with the store: one thread that hands in and claims, one that listens, one that beats.

The exchange is self-clocking: a call takes everything that gathered while the call before it was in flight, so a lone
task never waits for a batch and a busy process batches by itself. A call whose reply was lost is made again as it was,
with its nonce, until it is answered.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from runner.errors import StoreError, StoreUnavailable
from runner.store.ports import MAX_BATCH, ExchangeAnswer, Store
from runner.store.vitals import VitalsReader
from runner.worker.children import Children
from runner.worker.identity import new_process_id, process_info
from runner.worker.ledger import Key
from runner.worker.state import Options, State
from runner.worker.uptime import uptime_s

log = logging.getLogger("sagarun.worker")

GATHER_S = 0.003  # so long an end may wait, in a busy process, for others that will be handed in with it
LISTEN_S = 1.0  # what a lost wake token costs at most
MAX_PAUSE_S = 2.0
T = TypeVar("T")


class Conversation:
    """`exchange`, `listen` and `beat` are the bodies of three threads."""

    def __init__(self, store: Store, state: State, options: Options, children: Children) -> None:
        self._store = store
        self._state = state
        self._options = options
        self._children = children
        self._turn = 0
        self._gather_until_s = 0.0
        self._begun_before = 0  # the latest attempt, when the last answer came

    def exchange(self) -> None:
        state = self._state
        while True:
            with state.lock:
                while not self._has_business():
                    state.business.wait(self._pause_s())
                self._gather()
                if state.finished.is_set() and not state.ledger.has_completions:
                    return
                process_id, must_register = state.process_id, state.must_register
                completions = state.ledger.take(MAX_BATCH)
                capacity = min(self._children.free(), MAX_BATCH) if self._may_claim() else 0
                queues = state.rotate_queues() if capacity else ()
                wakes = state.wakes
                state.is_asking = capacity > 0
            if must_register and not self._register(process_id):
                return
            self._turn += 1
            answer = self._until_answered(
                partial(
                    self._store.exchange, process_id, f"{self._turn}", completions=completions, queues=queues,
                    quotas=state.quotas, capacity=capacity, lease_ms=self._options.lease_ms,
                )
            )
            if answer is None:
                return
            with state.lock:
                state.is_asking = False
                if process_id == state.process_id:
                    self._take_in(answer, capacity, heard_of_more=state.wakes != wakes)
                if state.is_at_rest:
                    state.changed.notify_all()

    def _gather(self) -> None:
        """Where more waits than this process can take: let what has just begun end first, if it is quick.

        A call at once would hand in what ended before that, and each of twice the calls would fill half of the slots.
        """
        state = self._state
        while state.ledger.latest > self._begun_before and not state.finished.is_set():
            left_s = self._gather_until_s - uptime_s()
            if left_s <= 0:
                return
            state.business.wait(left_s)

    def _has_business(self) -> bool:
        state = self._state
        if state.finished.is_set() or state.must_register or state.ledger.has_completions:
            return True
        is_due = state.may_have_tasks or state.again_at_s <= uptime_s()
        return is_due and self._may_claim() and self._children.free() > 0

    def _may_claim(self) -> bool:
        return self._state.is_claiming and self._state.is_leased(uptime_s(), self._options.lease_ms)

    def _pause_s(self) -> float | None:
        """How long there will be no business, if nobody says otherwise. None: until somebody does."""
        state = self._state
        if state.again_at_s == math.inf or not self._may_claim() or self._children.free() == 0:
            return None
        return max(0.0, state.again_at_s - uptime_s())

    def _take_in(self, answer: ExchangeAnswer, capacity: int, *, heard_of_more: bool = False) -> None:
        """`heard_of_more`: while it was under way, of tasks that it may have come too early for."""
        state = self._state
        if not answer.alive:
            self._disown()
            return
        for completion, why in state.ledger.settle(answer.completions):
            log.warning("the end of %s/%s was discarded: it is %s", completion.run_id, completion.path, why)
        state.ledger.counts.claimed += len(answer.claimed)
        self._begun_before = state.ledger.latest
        self._children.place(answer.claimed)
        if capacity:
            is_full = len(answer.claimed) == capacity
            state.may_have_tasks = is_full or heard_of_more
            self._gather_until_s = uptime_s() + GATHER_S if is_full else 0.0
            state.again_at_s = uptime_s() + answer.again_ms / 1000 if answer.again_ms else math.inf
        if not state.may_have_tasks:
            state.quiet.notify()

    def listen(self) -> None:
        """While there is nothing to do: wait for a wake token. Each time-out ends in an exchange too."""
        state = self._state
        while True:
            with state.lock:
                state.quiet.wait_for(self._is_quiet)
                if state.finished.is_set():
                    return
                queues = state.queues
            try:
                self._store.wait_for_tasks(queues, LISTEN_S)
            except StoreError as error:
                if not state.finished.is_set():  # else: the store was closed behind a listener that was in the way
                    log.warning("cannot listen for tasks: %s", error)
                    state.finished.wait(MAX_PAUSE_S)
            self.hear()

    def hear(self) -> None:
        """There may be tasks; also of which the call that is under way does not know."""
        with self._state.lock:
            self._state.wakes += 1
            self._state.may_have_tasks = True
            self._state.business.notify()

    def _is_quiet(self) -> bool:
        state = self._state
        return state.finished.is_set() or (state.is_claiming and not state.may_have_tasks and self._children.free() > 0)

    def beat(self) -> None:
        """Extend the leases of the process and of everything that it holds, whatever becomes of the exchange."""
        state = self._state
        pause_s = self._options.beat_s
        vitals = VitalsReader(slots=self._options.slots * self._options.children)
        while not state.finished.wait(pause_s):
            with state.lock:
                process_id, keys = state.process_id, state.ledger.leases()
                children = self._children.pids()
                if state.must_register:
                    continue
            sent_at_s = uptime_s()  # before it is sent: when it arrives is not known
            try:
                answers = self._store.beat(
                    process_id, [key for key, _ in keys], lease_ms=self._options.lease_ms, vitals=vitals.read(children)
                )
            except StoreError as error:
                log.warning("a heartbeat was not answered: %s", error)
                pause_s = min(0.2, self._options.beat_s)
                continue
            pause_s = self._options.beat_s
            with state.lock:
                if process_id != state.process_id:
                    continue
                if answers is None:
                    self._disown()
                    continue
                state.leased_at_s = max(state.leased_at_s, sent_at_s)
                for (key, number), answer in zip(keys, answers, strict=True):
                    self._heed(key, number, answer)
                self._children.place(())
                state.business.notify()

    def _heed(self, key: Key, number: int, answer: str) -> None:
        if number == 0 and answer == "lost":
            self._state.ledger.give_up(key)
        held = self._state.ledger.held.get(number)
        if held is None:
            return  # it ended while the heartbeat was under way, and "lost" may only mean that it was handed in
        if answer == "cancelled" and not held.is_cancelled:
            held.is_cancelled = True
            self._children.ask_to_stop(held, "cancelled")
        elif answer == "lost":
            held.is_void = True
            self._children.wake()

    def _disown(self) -> None:
        state = self._state
        log.error("process %s was taken for dead: killing its children and going on under another id", state.process_id)
        state.process_id = new_process_id()
        state.must_register = True
        state.may_have_tasks = True
        self._children.disown()
        state.wake_all()

    def _register(self, process_id: str) -> bool:
        sent_at_s = uptime_s()
        done = self._until_answered(lambda: self._publish() and self.register(process_id))
        with self._state.lock:
            if done is not None and process_id == self._state.process_id:
                self._state.must_register = False
                self._state.leased_at_s = sent_at_s
        return done is not None

    def _publish(self) -> bool:
        """Once more: where a server was set back to before this process came, it knows nothing of its workers."""
        try:
            self._store.put_workers(self._state.contracts or {})
        except StoreUnavailable:
            raise
        except StoreError as error:  # it is full, say, and that must keep nobody from his work
            log.warning("the workers' contracts could not be published again: %s", error)
        return True

    def register(self, process_id: str) -> bool:
        info = process_info(
            process_id, self._state.queues, started_at_ms=self._store.now_ms(), lock=self._options.lock_path
        )
        self._store.register(info, lease_ms=self._options.lease_ms)
        return True

    def _until_answered(self, call: Callable[[], T]) -> T | None:
        """None: the process has to stop, and the store has not answered."""
        pause_s = 0.05
        said = ""
        while True:
            try:
                return call()
            except StoreError as error:
                if str(error) != said:
                    said = str(error)
                    log.warning("the store does not answer, trying on: %s", error)
            if self._state.finished.wait(pause_s):
                return None
            pause_s = min(2 * pause_s, MAX_PAUSE_S)
