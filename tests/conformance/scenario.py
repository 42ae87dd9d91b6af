"""One story that calls every verb of a store, with fixed nonces: what goes wrong on the way must not show in its end.

`tell` returns what every verb answered. The same story on two stores, one of which loses replies, has to
give the same answers and the same records.
"""

from __future__ import annotations

from typing import Any

from runner.store.faults import Fault
from runner.store.ports import Commit, Completion, Dispatch, NewRun, ProcessInfo, Quota, Request, Slot, Store
from tests.conformance.store_world import Clock

LEASE_MS = 15_000


def _dispatch(path: str, queue: str = "q", timeout_ms: int = 0) -> Dispatch:
    return Dispatch(path, queue, f"message {path}".encode(), "p", timeout_ms)


def tell(store: Store, clock: Clock) -> list[Any]:
    answers: list[Any] = []
    seen = f"started|{clock.now_ms}||"
    say = answers.append
    for name, kind in (("engine", "engine"), ("worker", "worker"), ("doomed", "worker")):
        store.register(ProcessInfo(name, kind, "host", 1), lease_ms=LEASE_MS)  # type: ignore[arg-type]
    say(store.start([NewRun(run_id, f"n-{run_id}", "d", b"{}", b"input") for run_id in ("r1", "r2", "r3", "r4")]))
    slotted = [("s1", "queue"), ("s2", "queue"), ("s3", "reject"), ("s4", "queue")]
    say(store.start([NewRun(id, "n", "d", b"{}", b"in", Slot("s", 1, on_limit)) for id, on_limit in slotted]))
    say(store.start([NewRun("s1", "n", "d", b"{}", b"in", Slot("s", 1)), NewRun("s1", "m", "d", b"{}", b"in")]))
    say(store.post([Request("s2", "q0", b"signal"), Request("s4", "q1", b"cancel", at_once=True)]))
    say(store.take_runs("engine", "take1", limit=2, lease_ms=LEASE_MS))
    say(store.take_runs("engine", "take2", limit=9, lease_ms=LEASE_MS))
    say(store.commit([
        Commit("r1", "", "e1", 1, b"s", "running", writes={"p": b"P"}, history=(b"1", b"2"), last_seen=seen,
               dispatches=(_dispatch("a"), _dispatch("b"), _dispatch("c"), _dispatch("d"))),
        Commit("r2", "", "e1", 1, b"s", "running", timers=(("t", clock.now_ms + 500), ("u", clock.now_ms + 900)),
               counts=(("done|a", 2), ("=live|a", 1), ("~by|w\n@ran|w\ndone|a", 1)),
               dispatches=(_dispatch("late", "nobody", 700),), history=(b"1",), last_seen=seen),
        Commit("r3", "wrong", "e1", 1, b"s", "running", last_seen=seen),
    ]))
    quotas = {"q": Quota(max_concurrency=3, rate=3, window_ms=1_000)}
    say(store.exchange("worker", "x1", queues=["q"], quotas=quotas, capacity=2, lease_ms=LEASE_MS))
    say(claimed := store.exchange("doomed", "x1", queues=["q"], quotas=quotas, capacity=2, lease_ms=LEASE_MS))
    doomed = claimed.claimed[0]
    tokens = {path: task.token for path, task in store.load_runs(["r1"])[0].tasks.items()}  # type: ignore[union-attr]
    say(store.beat("worker", [("r1", "a", tokens["a"]), ("r1", "b", "1-forged")], lease_ms=LEASE_MS))
    say(store.exchange("worker", "x2", completions=[
        Completion("r1", "a", tokens["a"], b"A", output=b"1"), Completion("r1", "a", tokens["a"], b"A", output=b"2"),
        Completion("r1", "b", "1-forged", b"B", output=b"3")],
        queues=["q"], quotas=quotas, capacity=0, lease_ms=LEASE_MS))
    say(store.post([Request("r1", "q1", b"signal"), Request("nobody", "q1", b"")]))
    say(store.take_runs("engine", "take3", limit=9, lease_ms=LEASE_MS))
    say(store.commit([Commit("r1", "e1", "e2", 2, b"s2", "running", revokes=(("b", True), ("d", False)),
                             timers_cleared=("x",), history=(b"3",), again=True, last_seen=f"request|{clock.now_ms}||",
                             starts=(NewRun("r5", "n-r5", "d", b"{}", b"child"), NewRun("r6", "n-r6", "d", b"{}", b"")),
                             tells=(("r4", b"to a parked one"), ("nobody", b""), ("r5", b"to a new one"))),
                      Commit("r2", "e1", "e1b", 0, b"s", "running", starts=(NewRun("r6", "n", "d", b"", b""),))]))
    say(store.commit([Commit("s1", "", "e1", 1, b"s", "stuck", last_seen=seen)]))
    say(store.commit([Commit("s4", "", "e1", 2, b"s", "cancelled", terminal=True,
                             last_seen=f"request|{clock.now_ms}||")]))  # fmt: skip
    say(store.park("r3", "", delay_ms=100, stuck=False, error=b"trace"))
    say(store.park("r4", "", delay_ms=100, stuck=True, error=b"trace"))
    store.tick()
    clock.advance(1_000)
    store.tick()
    store.reap("doomed")
    say(store.exchange("doomed", "x2", completions=[Completion("r1", doomed.path, doomed.token, b"late")]))
    say(store.take_runs("engine", "take4", limit=9, lease_ms=LEASE_MS))
    say(store.exchange("worker", "x3", completions=[Completion("r1", "b", tokens["b"], b"B")], lease_ms=LEASE_MS))
    say(store.commit([Commit("r2", "e1", "e9", 1, b"end", "completed", terminal=True, retention_ms=10**6,
                             last_seen=store.load_runs(["r2"])[0].entries[0].mark,  # type: ignore[union-attr]
                             faults=(Fault("v1:a", b"about", ("m", "n"), 2),)),
                      Commit("r1", "e2", "e3", 0, b"s3", "running", dispatches=(_dispatch("e"),), writes={"n": b"N"})]))
    store.retire("engine")
    say(store.load_runs(["r1", "r2", "r3", "r4", "r5", "r6", "s1", "s2", "s4", "nobody"]))
    say([store.list_runs(), store.find_runs("r"), store.history("r1"), store.queue_depths(), store.count_live()])
    store.put_schedule("order", b"daily")
    say([store.note_fault("v1:a", "resolved", b"note"), store.note_fault("v1:b", "ignored", b""), store.fault_groups()])
    say([store.hold_ended(), store.ended_runs()])
    store.release_runs({"r2": clock.now_ms + 10**6, "r1": 0, "nobody": 5})
    say([store.hold_ended(), store.ended_runs(limit=1)])
    say([store.note_fire("order", 5, b"started"), store.note_fire("order", 4, b"late"), store.schedules()])
    say([store.figures(), store.figures(60_000)])
    say([store.note_alert("late", "n1", firing=True, cool_down_ms=5, body=b"a|b"), store.alerts(), store.queues()])
    say([store.slot("s", run_id="s2"), store.processes(), store.now_ms()])
    return answers
