"""The children of a worker process, and the thread that looks after them: pipes, deadlines, deaths and successors.

This thread never talks to Redis, so nothing that Redis does can keep a deadline from being enforced. A child in which
an attempt overran takes nothing new; its other attempts may end in their own time; then it is killed, and only when it
is dead is the attempt reported: a next try must not meet the last one.

An attempt whose child died before is run in a *cell*, a child that runs one at a time: should it be what kills, nobody
else dies of it, and who only happened to be there lives. Cells are started when they are needed, and end after that.
"""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
from collections import defaultdict
from collections.abc import Sequence

from runner.errors import ConfigError, SagarunError
from runner.store.ports import ClaimedTask
from runner.worker.child_process import ChildProcess
from runner.worker.frames import Alive, Broken, Done, FromChild, Logged, Ready, Setup, Stack, Stop, Work
from runner.worker.ledger import Held
from runner.worker.state import Options, State
from runner.worker.uptime import uptime_s

log = logging.getLogger("sagarun.worker")

BUSY_TICK_S = 0.05  # how precise deadlines are
IDLE_TICK_S = 0.5
MAX_FAMILY = 4  # living children, for each that is wanted: those that retire are waited for
MAX_CELLS = 4  # besides them
END_S = 2.0  # for a child that may end by itself (exit handlers of user code)
STOP_AT_LEASES = 1.25  # without an answer to a heartbeat: attempts are asked to stop,
KILL_AT_LEASES = 1.5  # and killed, long before the second lease is over and others may try


class Children:
    """Methods that do not say otherwise are called under the state's lock."""

    def __init__(self, state: State, options: Options) -> None:
        self._state = state
        self._options = options
        self._living: dict[int, ChildProcess] = {}
        self._born = 0
        self._failed_starts = 0
        self._next_start_s = 0.0
        self._ticked_at_s = 0.0  # 0.0: tick now
        self._was_asked_to_stop = False
        self._selector = selectors.DefaultSelector()
        self._bell: tuple[socket.socket, socket.socket] | None = None  # to be looked at, to be rung

    # -- for the other threads ------------------------------------------------------------------------

    def free(self) -> int:
        """How many attempts could begin now."""
        slots, busy = self._options.slots, self._state.ledger.busy
        free = sum(slots - busy[each.number] for each in self._hosts())
        return max(0, free - len(self._state.ledger.unplaced))

    def place(self, tasks: Sequence[ClaimedTask]) -> None:
        """Begin these. What finds no slot (its child has just died) waits for the next child, and what was claimed by a
        process that may have been taken for dead since waits until it knows."""
        ledger = self._state.ledger
        ledger.unplaced += tasks
        if self._state.is_closing:
            ledger.refuse_unplaced()
        if not ledger.unplaced:
            return
        now_s = uptime_s()
        if not self._state.is_leased(now_s, self._options.lease_ms):
            return  # the next heartbeat that is answered says whose they are by now
        for child in sorted(self._hosts(), key=lambda each: ledger.busy[each.number]):
            self._begin(child, ledger.take_unplaced(self._options.slots - ledger.busy[child.number]), now_s)
        if not ledger.unplaced:
            return
        for cell in self._cells():
            if cell.takes_attempts and not ledger.busy[cell.number]:
                self._begin(cell, ledger.take_unplaced(1, alone=True), now_s)
        self.wake()  # there may have to be more cells

    def _begin(self, child: ChildProcess, tasks: Sequence[ClaimedTask], now_s: float) -> None:
        if tasks:
            child.send(Work([self._state.ledger.begin(task, child.number, now_s) for task in tasks]))
        if child.has_backlog:
            self.wake()

    def ask_to_stop(self, held: Held, reason: str) -> None:
        child = self._living.get(held.child)
        if child is not None:
            child.send(Stop([held.number], reason))
            if child.has_backlog:
                self.wake()

    def disown(self) -> None:
        """The process was reaped: what runs here has no right to run any more."""
        self._state.ledger.forget()
        for child in self._living.values():
            child.kill()
        self.wake()

    def pids(self) -> tuple[int, ...]:
        return tuple(child.pid for child in self._living.values())

    def wake(self) -> None:
        """Have the thread look again, now. Also without the lock."""
        bell = self._bell
        if bell is not None:
            with contextlib.suppress(OSError):  # it was rung so often that it is full, or nobody listens any more
                bell[1].send(b"x")

    def kill_all(self) -> None:
        """The last resort, when one of the threads broke."""
        for child in self._living.values():
            child.kill()

    # -- the thread -----------------------------------------------------------------------------------

    def serve(self) -> None:
        """Until the state says closing and all are gone. Called without the lock, as is `_receive`."""
        listens, _ = self._bell = socket.socketpair()
        for each in self._bell:
            each.setblocking(False)
        self._selector.register(listens, selectors.EVENT_READ, None)
        try:
            while True:
                now_s = uptime_s()
                with self._state.lock:
                    timeout_s = self._tick_at_s() - now_s
                # Heard before it is judged: after a standstill of this process, the heartbeats of it are all there.
                self._hear(listens, max(0.0, timeout_s))
                if timeout_s > 0:
                    continue
                with self._state.lock:
                    self._ticked_at_s = now_s
                    self._tick(now_s)
                    if self._state.is_closing and not self._living:
                        return
        finally:
            self._selector.close()
            for each in self._bell:
                each.close()

    def _hear(self, bell: socket.socket, timeout_s: float) -> None:
        for key, _ in self._selector.select(timeout_s):
            if key.data is None:
                bell.recv(4096)
                self._ticked_at_s = 0.0
            elif key.fileobj is key.data.socket:
                self._receive(key.data)
            else:
                self._ticked_at_s = 0.0

    def _tick_at_s(self) -> float:
        """When to look at everything again: results alone are no reason to, there are too many of them."""
        return self._ticked_at_s + (BUSY_TICK_S if self._is_busy() else IDLE_TICK_S)

    def _receive(self, child: ChildProcess) -> None:
        if child.has_backlog:
            self._ticked_at_s = 0.0  # there may be room for it now
        try:
            for message in child.receive():
                with self._state.lock:
                    self._heed(child, message)
        except EOFError:
            self._selector.unregister(child.socket)
            self._ticked_at_s = 0.0
            if not child.closed_at_s:
                child.ended_unasked = not child.was_killed
                child.kill()  # a process that cannot be heard is as good as dead, and must be

    def _heed(self, child: ChildProcess, message: FromChild) -> None:
        state = self._state
        if isinstance(message, Done):
            for number, outcome, output in message.outcomes:
                state.ledger.end(number, outcome, output)
            if state.ledger.unplaced:
                self.place(())
            state.business.notify()
        elif isinstance(message, Alive):
            state.ledger.beat(message.number, message.details, uptime_s())
        elif isinstance(message, Stack):
            held = state.ledger.held.get(message.number)
            if held is not None:
                held.stack = message.text
        elif isinstance(message, Logged):
            state.ledger.keep_log(message.number, message.text)
            return
        elif isinstance(message, Ready):
            self._welcome(child, message)
        else:
            self._mourn_start(message)
        if not isinstance(message, Done):
            self._ticked_at_s = 0.0

    def _welcome(self, child: ChildProcess, message: Ready) -> None:
        state = self._state
        child.is_ready = True
        self._failed_starts = 0
        if state.contracts is None:
            state.contracts = message.contracts
        elif state.contracts != message.contracts:
            log.warning("the worker modules have changed since this process started: restart it")
        self.place(())
        state.wake_all()

    def _mourn_start(self, message: Broken) -> None:
        state = self._state
        if state.contracts is None:
            text = message.text if message.is_config else f"the worker modules cannot be imported:\n{message.text}"
            state.start_error = ConfigError(text)
            state.changed.notify_all()
        else:
            log.error("a new child cannot import the worker modules:\n%s", message.text)

    # -- what is due ----------------------------------------------------------------------------------

    def _tick(self, now_s: float) -> None:
        self._bury()
        if self._state.is_closing:
            self._close_all(now_s)
        else:
            self._fence_off(now_s)
            self._stop_overdue(now_s)
            self._end_retired(now_s)
            self._end_stillborn(now_s)
            self._fill(now_s)
        for child in self._living.values():
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if child.has_backlog else 0)
            child.flush()
            with contextlib.suppress(KeyError):  # its stream has ended
                if self._selector.get_key(child.socket).events != events:
                    self._selector.modify(child.socket, events, child)

    def _is_busy(self) -> bool:
        return bool(self._state.ledger.held) or len(self._living) < self._options.children or self._state.is_closing

    def _bury(self) -> None:
        for child in [each for each in self._living.values() if each.is_dead()]:
            for message in child.last_words():
                self._heed(child, message)
            with contextlib.suppress(KeyError):
                self._selector.unregister(child.socket)
            if child.death is not None:
                self._selector.unregister(child.death)
            child.release()
            del self._living[child.number]
            if not (child.was_killed or child.closed_at_s):
                child.ended_unasked = True
            lost = self._state.ledger.lose(child.number, child.describe_end() if child.ended_unasked else "")
            if not child.closed_at_s:
                self._report_death(child, lost)
            self._state.wake_all()

    def _report_death(self, child: ChildProcess, lost: Sequence[Held]) -> None:
        while_running = ", ".join(sorted(held.task.path for held in lost)[:5]) or "nothing"
        level = logging.ERROR if child.ended_unasked else logging.INFO
        log.log(level, "child %d %s while it ran %s", child.pid, child.describe_end(), while_running)
        if not child.is_ready:
            self._failed_starts += 1
            self._next_start_s = uptime_s() + min(5.0, 0.1 * 2**self._failed_starts)
            if self._state.contracts is None and self._state.start_error is None:
                self._state.start_error = SagarunError(f"the worker's child {child.describe_end()} before it was ready")

    def _fence_off(self, now_s: float) -> None:
        """No heartbeat was answered for so long that others may soon run what runs here."""
        leases = (now_s - self._state.leased_at_s) * 1000 / self._options.lease_ms
        if leases < STOP_AT_LEASES:
            self._was_asked_to_stop = False
            return
        busy = self._state.ledger.busy.keys()
        if leases >= KILL_AT_LEASES:
            for number in busy & self._living.keys():
                if not self._living[number].was_killed:
                    log.error("no heartbeat was answered for %.1f leases: killing child %d", leases, number)
                    self._living[number].kill()
        elif not self._was_asked_to_stop:
            self._was_asked_to_stop = True
            for number in busy & self._living.keys():
                numbers = [held.number for held in self._state.ledger.held.values() if held.child == number]
                self._living[number].send(Stop(numbers, "lost"))

    def _stop_overdue(self, now_s: float) -> None:
        for held in self._state.ledger.newly_overdue(now_s):
            self.ask_to_stop(held, "lost" if held.is_void else "timeout")
        if not self._state.ledger.overdue:
            return
        grouped: dict[int, list[Held]] = defaultdict(list)
        for held in self._state.ledger.held.values():
            grouped[held.child].append(held)
        for number, attempts in grouped.items():
            overdue = [held.overdue_since_s for held in attempts if held.overdue_since_s]
            child = self._living[number]
            if not overdue or child.was_killed or now_s - min(overdue) < self._options.stop_grace_s:
                continue
            child.is_retiring = True  # it did not stop when it was asked to: a successor takes its place
            if len(overdue) == len(attempts) and now_s - max(overdue) >= self._options.stop_grace_s:
                child.kill()

    def _end_retired(self, now_s: float) -> None:
        busy = self._state.ledger.busy
        suspects = self._state.ledger.suspects
        for child in self._living.values():
            is_spare = child.is_cell and child.is_ready and not suspects
            if (child.is_retiring or is_spare) and child.number not in busy:
                child.close(now_s)
            if child.closed_at_s and now_s - child.closed_at_s > END_S and not child.was_killed:
                child.kill()

    def _end_stillborn(self, now_s: float) -> None:
        for child in self._living.values():
            if not (child.is_ready or child.was_killed) and now_s - child.born_at_s > self._options.start_timeout_s:
                log.error("child %d is still importing the worker modules: killing it", child.pid)
                child.kill()

    def _close_all(self, now_s: float) -> None:
        busy = self._state.ledger.busy
        self._state.ledger.refuse_unplaced()
        for child in self._living.values():
            if child.number in busy or (child.closed_at_s and now_s - child.closed_at_s > END_S) or not child.is_ready:
                child.kill()
            else:
                child.close(now_s)

    def _fill(self, now_s: float) -> None:
        wanted, ledger, cells = self._options.children, self._state.ledger, self._cells()
        family = [each for each in self._living.values() if not each.is_cell]
        active = sum(1 for each in family if not (each.is_retiring or each.was_killed))
        missing = min(wanted - active, MAX_FAMILY * wanted - len(family))
        suspects = ledger.suspects + sum(ledger.busy[each.number] for each in cells)
        births = [False] * missing + [True] * (min(suspects, MAX_CELLS) - len(cells))
        for is_cell in births:
            if self._state.start_error is not None or now_s < self._next_start_s:
                return
            try:
                self._bear(now_s, is_cell=is_cell)
            except OSError as error:  # no memory, no descriptors, no process ids: perhaps there will be some later
                log.error("a child cannot be started: %s", error)
                self._next_start_s = now_s + 1.0
                return

    def _bear(self, now_s: float, *, is_cell: bool) -> None:
        self._born += 1
        child = ChildProcess(self._born, born_at_s=now_s, inherited=self._options.inherited, is_cell=is_cell)
        self._living[child.number] = child
        self._selector.register(child.socket, selectors.EVENT_READ, child)
        if child.death is not None:
            self._selector.register(child.death, selectors.EVENT_READ, child)
        options = self._options
        child.send(Setup(list(options.modules), options.slots, options.hook, self._state.process_id))

    def _hosts(self) -> list[ChildProcess]:
        """Children that take new attempts: in none of theirs is one overdue."""
        overdue = {held.child for held in self._state.ledger.overdue.values()}
        return [
            each for each in self._living.values()
            if each.takes_attempts and not each.is_cell and each.number not in overdue
        ]  # fmt: skip

    def _cells(self) -> list[ChildProcess]:
        """Those that die meanwhile as well: there are never more than there may be."""
        return [each for each in self._living.values() if each.is_cell]
