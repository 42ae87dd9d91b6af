"""Slots in memory: who holds one, and who waits for it; the twin of the functions at the end of prelude.lua.

Nobody deletes records here, so nothing has to be looked for that was lost.
"""

from __future__ import annotations

from msgspec.structs import replace

from runner.store.memory.state import MemoryState, Run, SlotState
from runner.store.ports import Slot

SHOWN = 5  # holders that a refusal names


def take_place(tables: MemoryState, run: Run, slot: Slot, now_ms: int) -> tuple[str, ...]:
    """Give the run a place, in the slot or in its line. Not empty: it is refused; some of those who hold the slot."""
    state = tables.slots.setdefault(slot.name, SlotState(slot.limit))
    state.limit = slot.limit
    admit_waiting(tables, slot.name, now_ms)
    full = len(state.holders) >= state.limit or bool(state.line)
    if full and slot.on_limit == "reject":
        return tuple(sorted(state.holders[:SHOWN]))
    tables.slots[slot.name] = state  # admitting removes one that nobody is in
    run.slot, run.place = slot.name, "W" if full else "H"
    (state.line if full else state.holders).append(run.run_id)
    return ()


def move_place(tables: MemoryState, run: Run) -> bool:
    """After a commit: a run that is over or stuck gives its place back (true), any other holds it."""
    gives = run.terminal or run.status == "stuck"
    if not run.place or (run.place == "H" and not gives):
        return False
    state = tables.slots.setdefault(run.slot, SlotState(1))
    leave(state, run)
    run.place = "F" if gives else "H"
    if not gives:
        state.holders.append(run.run_id)
    return gives


def leave_line(tables: MemoryState, run: Run) -> None:
    """A request that may not wait: it comes right behind the start, and what else waited with the run is dropped."""
    tables.slots[run.slot].line.remove(run.run_id)
    run.place = "F"
    del run.inbox[1:]


def give_back(tables: MemoryState, run: Run, now_ms: int) -> None:
    """Of a run that is set aside until a person acts."""
    if run.place == "H":
        leave(tables.slots[run.slot], run)
        run.place = "F"
        admit_waiting(tables, run.slot, now_ms)


def leave(state: SlotState, run: Run) -> None:
    for ids in (state.holders, state.line):
        if run.run_id in ids:
            ids.remove(run.run_id)


def admit_waiting(tables: MemoryState, name: str, now_ms: int) -> None:
    """Those who waited longest begin, while there is room. Time counts from now for them."""
    state = tables.slots.get(name)
    if state is None:
        return
    while state.line and len(state.holders) < state.limit:
        run = tables.runs[state.line.pop(0)]
        state.holders.append(run.run_id)
        run.place = "H"
        run.inbox[0] = replace(run.inbox[0], at_ms=now_ms)
        tables.wake(run, now_ms, even_parked=True)  # nobody had it in hand, so there is nothing to wait for
    if not state.line and not state.holders:
        del tables.slots[name]
