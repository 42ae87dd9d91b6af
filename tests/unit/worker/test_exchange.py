"""The conversation with the store: what is asked, repeated and given up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import pytest

from runner.errors import StoreError, StoreUnavailable
from runner.store.ports import ClaimedTask, ExchangeAnswer, Quota, Store
from runner.worker.children import Children
from runner.worker.exchange import Conversation
from runner.worker.ledger import Held
from runner.worker.state import Options, State
from runner.worker.uptime import uptime_s
from tests.servers import PATIENCE_S

WAIT_S = PATIENCE_S


def task(path: str) -> ClaimedTask:
    return ClaimedTask("r", path, "t", 1, "q", 0, 0, b"{}", b"{}")


class ScriptedStore:
    """Gives prepared answers, one a call, and writes down the calls. Out of answers: nothing there, all is well."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.answers: dict[str, list[Any]] = {"exchange": [], "beat": [], "register": [], "publish": []}
        self.called = threading.Condition()
        self.tokens = threading.Semaphore(0)

    def _answer(self, verb: str, call: Any, otherwise: Any) -> Any:
        with self.called:
            self.calls.append((verb, call))
            self.called.notify_all()
            answer = self.answers[verb].pop(0) if self.answers[verb] else otherwise
        if isinstance(answer, Exception):
            raise answer
        return answer

    def exchange(self, process: str, nonce: str, **options: Any) -> ExchangeAnswer:
        answers = tuple("recorded" for _ in options["completions"])
        return self._answer("exchange", {"process": process, "nonce": nonce, **options}, ExchangeAnswer(True, answers))

    def beat(self, process: str, tasks: Sequence[Any], *, lease_ms: int, vitals: Any) -> Any:
        assert vitals.slots
        return self._answer("beat", (process, list(tasks), lease_ms), ["held"] * len(tasks))

    def register(self, process: Any, *, lease_ms: int) -> None:
        self._answer("register", process.id, None)

    def put_workers(self, contracts: Any) -> None:
        self._answer("publish", contracts, None)

    def wait_for_tasks(self, queues: Sequence[str], timeout_s: float) -> bool:
        return self.tokens.acquire(timeout=0.01 if timeout_s else 0)

    def now_ms(self) -> int:
        return 1

    def of(self, verb: str) -> list[Any]:
        return [call for name, call in self.calls if name == verb]

    def until(self, fact: Callable[[], object]) -> None:
        with self.called:
            assert self.called.wait_for(fact, WAIT_S), self.calls


class CountedChildren:
    """Children that only count."""

    def __init__(self, state: State, slots: int) -> None:
        self.state = state
        self.slots = slots
        self.stopped: list[tuple[str, str]] = []
        self.was_disowned = False

    def pids(self) -> tuple[int, ...]:
        return ()

    def free(self) -> int:
        return self.slots - len(self.state.ledger.held)

    def place(self, tasks: Sequence[ClaimedTask]) -> None:
        for each in tasks:
            self.state.ledger.begin(each, 1, 0.0)
        self.state.changed.notify_all()

    def ask_to_stop(self, held: Held, reason: str) -> None:
        self.stopped.append((held.task.path, reason))

    def disown(self) -> None:
        self.was_disowned = True
        self.state.ledger.forget()

    def wake(self) -> None: ...


class Bench:
    def __init__(self, slots: int = 3) -> None:
        self.store = ScriptedStore()
        self.state = State("p1", queues=("a", "b"), is_claiming=True)
        self.children = CountedChildren(self.state, slots)
        options = Options(("m",), beat_s=0.01, slots=slots)
        store, children = cast(Store, self.store), cast(Children, self.children)
        self.conversation = Conversation(store, self.state, options, children)
        self._threads: list[threading.Thread] = []

    def run(self, *names: str) -> None:
        for name in names:
            thread = threading.Thread(target=getattr(self.conversation, name))
            self._threads.append(thread)
            thread.start()

    def await_held(self, count: int) -> None:
        """Until so many attempts run."""
        with self.state.lock:
            assert self.state.changed.wait_for(lambda: len(self.state.ledger.held) == count, WAIT_S)

    def end(self, *numbers: int) -> None:
        with self.state.lock:
            for number in numbers:
                self.state.ledger.end(number, b"{}")
            self.state.business.notify()

    def close(self) -> None:
        with self.state.lock:
            self.state.finished.set()
            self.state.wake_all()
        for thread in self._threads:
            thread.join(WAIT_S)
            assert not thread.is_alive()


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


def test_as_many_as_there_are_free_slots_are_asked_for(bench: Bench):
    bench.store.answers["exchange"] = [ExchangeAnswer(True, (), (task("x"), task("y")))]
    bench.run("exchange")
    bench.await_held(2)
    bench.end(1)
    bench.store.until(lambda: len(bench.store.of("exchange")) >= 2)
    first, second = bench.store.of("exchange")
    assert (first["capacity"], second["capacity"]) == (3, 2)
    assert [each.path for each in second["completions"]] == ["x"]


def test_what_began_together_is_handed_in_together_where_more_waits(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("runner.worker.exchange.GATHER_S", 60.0)
    bench.store.answers["exchange"] = [ExchangeAnswer(True, (), (task("x"), task("y"), task("z")))]
    bench.run("exchange")
    bench.await_held(3)
    bench.end(1)
    bench.end(2)
    with bench.store.called:
        assert not bench.store.called.wait_for(lambda: len(bench.store.of("exchange")) > 1, 0.1)
    bench.end(3)
    bench.store.until(lambda: len(bench.store.of("exchange")) >= 2)
    second = bench.store.of("exchange")[1]
    assert [each.path for each in second["completions"]] == ["x", "y", "z"]
    assert second["capacity"] == 3


def test_a_token_that_comes_while_a_call_is_under_way_is_not_forgotten(bench: Bench):
    """What it tells of may have been queued after the call looked: else it lies there until the next time-out."""
    plain = bench.store.exchange

    def exchange(*arguments: Any, **options: Any) -> ExchangeAnswer:
        answer = plain(*arguments, **options)
        if len(bench.store.of("exchange")) == 1:
            bench.conversation.hear()
        return answer

    bench.store.exchange = exchange  # type: ignore[method-assign]
    bench.run("exchange")
    bench.store.until(lambda: len(bench.store.of("exchange")) == 2)
    with bench.store.called:
        assert not bench.store.called.wait_for(lambda: len(bench.store.of("exchange")) > 2, 0.05), "and once is enough"


def test_who_does_not_end_soon_keeps_nobody_waiting(bench: Bench):
    bench.store.answers["exchange"] = [ExchangeAnswer(True, (), (task("slow"), task("quick"), task("slow")))]
    bench.run("exchange")
    bench.await_held(3)
    bench.end(2)
    bench.store.until(lambda: len(bench.store.of("exchange")) >= 2)
    assert [each.path for each in bench.store.of("exchange")[1]["completions"]] == ["quick"]


@pytest.mark.parametrize(("count", "more"), [(3, True), (2, False)])
def test_queues_that_gave_all_that_was_asked_for_may_have_more(bench: Bench, count: int, more: bool):
    claimed = tuple(task(str(number)) for number in range(count))
    with bench.state.lock:
        bench.conversation._take_in(ExchangeAnswer(True, (), claimed), 3)
    assert bench.state.may_have_tasks is more


def test_queues_take_turns_at_being_first(bench: Bench):
    bench.run("exchange", "listen")
    bench.store.until(lambda: len(bench.store.of("exchange")) >= 4)
    firsts = [call["queues"][0] for call in bench.store.of("exchange")[:4]]
    assert firsts == ["b", "a", "b", "a"]


def test_a_call_without_an_answer_is_made_again_as_it_was(bench: Bench):
    bench.store.answers["exchange"] = [StoreUnavailable("away"), StoreUnavailable("away"), ExchangeAnswer(True)]
    bench.run("exchange")
    bench.store.until(lambda: len(bench.store.of("exchange")) >= 3)
    first, second, third = bench.store.of("exchange")
    assert first == second == third


def test_every_call_has_a_nonce_of_its_own(bench: Bench):
    bench.run("exchange", "listen")
    bench.store.until(lambda: len(bench.store.of("exchange")) >= 3)
    assert len({call["nonce"] for call in bench.store.of("exchange")}) == len(bench.store.of("exchange"))


def test_a_wake_token_ends_the_quiet(bench: Bench):
    bench.run("exchange", "listen")
    bench.store.until(lambda: len(bench.store.of("exchange")) >= 1)
    bench.store.tokens.release()
    bench.store.until(lambda: len(bench.store.of("exchange")) >= 2)


def test_nothing_is_claimed_while_it_drains_but_ends_are_handed_in(bench: Bench):
    bench.store.answers["exchange"] = [ExchangeAnswer(True, (), (task("x"), task("y"), task("z")))]
    bench.run("exchange")
    bench.await_held(3)
    with bench.state.lock:
        bench.state.is_claiming = False
    bench.end(1)
    bench.store.until(lambda: len(bench.store.of("exchange")) >= 2)
    call = bench.store.of("exchange")[1]
    assert (call["capacity"], list(call["queues"]), len(call["completions"])) == (0, [], 1)


def test_what_ended_is_handed_in_before_the_thread_ends(bench: Bench):
    bench.store.answers["exchange"] = [ExchangeAnswer(True, (), (task("x"), task("y"), task("z")))]
    bench.run("exchange")
    bench.await_held(3)
    with bench.state.lock:
        bench.state.is_claiming = False
        bench.state.finished.set()
        bench.state.ledger.end(2, b"{}")
        bench.state.business.notify()
    bench.store.until(lambda: len(bench.store.of("exchange")) >= 2)
    assert [each.path for each in bench.store.of("exchange")[1]["completions"]] == ["y"]


def test_a_process_that_was_taken_for_dead_goes_on_under_another_id(bench: Bench):
    bench.store.answers["exchange"] = [ExchangeAnswer(False)]
    bench.run("exchange")
    bench.store.until(lambda: len(bench.store.of("exchange")) >= 2)
    (registered,) = bench.store.of("register")
    assert bench.children.was_disowned
    assert registered == bench.state.process_id != "p1"
    assert bench.store.of("exchange")[1]["process"] == registered


@pytest.mark.parametrize("trouble", [None, StoreUnavailable("away"), StoreError("full")])
def test_a_process_that_was_taken_for_dead_publishes_its_workers_again(bench: Bench, trouble: Exception | None):
    """The server may have been set back to before it came. That it is full keeps nobody from his work."""
    bench.state.contracts = {"w": b"{}"}
    bench.store.answers["exchange"] = [ExchangeAnswer(False)]
    bench.store.answers["publish"] = [trouble]
    bench.run("exchange")
    bench.store.until(lambda: bench.store.of("register"))
    assert bench.store.of("publish")[-1] == {"w": b"{}"}


def test_ends_under_the_old_id_are_forgotten(bench: Bench):
    bench.store.answers["exchange"] = [ExchangeAnswer(True, (), (task("x"),)), ExchangeAnswer(False)]
    bench.run("exchange")
    bench.await_held(1)
    bench.end(1)
    bench.store.until(lambda: len(bench.store.of("exchange")) >= 3)
    assert bench.store.of("exchange")[2]["completions"] == []


def test_an_end_that_was_not_recorded_is_logged(bench: Bench, caplog: pytest.LogCaptureFixture):
    bench.store.answers["exchange"] = [ExchangeAnswer(True, (), (task("x"),)), ExchangeAnswer(True, ("stale",))]
    bench.run("exchange")
    bench.await_held(1)
    bench.end(1)
    bench.close()
    assert "the end of r/x was discarded: it is stale" in caplog.text


def held(bench: Bench, path: str) -> int:
    with bench.state.lock:
        return bench.state.ledger.begin(task(path), 1, 0.0).number


def test_a_heartbeat_names_everything_that_is_held(bench: Bench):
    held(bench, "x")
    bench.end(held(bench, "y"))
    bench.run("beat")
    bench.store.until(lambda: bench.store.of("beat"))
    assert bench.store.of("beat")[0] == ("p1", [("r", "x", "t"), ("r", "y", "t")], 15_000)


def test_an_answered_heartbeat_renews_the_lease(bench: Bench):
    bench.state.leased_at_s = 0.0
    bench.run("beat")
    bench.store.until(lambda: len(bench.store.of("beat")) >= 2)
    assert bench.state.leased_at_s > 0.0


def test_a_heartbeat_without_an_answer_renews_nothing(bench: Bench):
    bench.state.leased_at_s = 0.0
    bench.store.answers["beat"] = [StoreUnavailable("away")] * 1000
    bench.run("beat")
    bench.store.until(lambda: len(bench.store.of("beat")) >= 3)
    assert bench.state.leased_at_s == 0.0


def test_after_an_outage_nothing_is_claimed_before_a_heartbeat_was_answered(bench: Bench):
    """Until then it may have been taken for dead, and what has just begun would be fenced off with its child."""
    number = held(bench, "x")
    bench.state.leased_at_s -= 16
    bench.run("exchange")
    bench.end(number)
    bench.store.until(lambda: bench.store.of("exchange"))
    assert [call["capacity"] for call in bench.store.of("exchange")] == [0], "what ended is handed in all the same"
    bench.run("beat")
    bench.store.until(lambda: len(bench.store.of("exchange")) >= 2)
    assert bench.store.of("beat")
    assert bench.store.of("exchange")[1]["capacity"] == 3


def test_what_the_store_gave_to_others_before_it_began_does_not_begin(bench: Bench):
    bench.state.ledger.unplaced = [task("x"), task("y")]
    bench.store.answers["beat"] = [["lost", "held"]]
    bench.run("beat")
    bench.store.until(lambda: len(bench.store.of("beat")) >= 2)
    assert [each.path for each in bench.state.ledger.unplaced] == ["y"]


def test_a_cancelled_attempt_is_asked_to_stop_once(bench: Bench):
    held(bench, "x")
    bench.store.answers["beat"] = [["cancelled"], ["cancelled"], ["cancelled"]]
    bench.run("beat")
    bench.store.until(lambda: len(bench.store.of("beat")) >= 4)
    assert bench.children.stopped == [("x", "cancelled")]


def test_an_attempt_that_the_store_gave_up_is_void(bench: Bench):
    number = held(bench, "x")
    bench.store.answers["beat"] = [["lost"]]
    bench.run("beat")
    bench.store.until(lambda: len(bench.store.of("beat")) >= 2)
    assert bench.state.ledger.held[number].is_void


def test_lost_means_nothing_for_what_has_ended_meanwhile(bench: Bench):
    with bench.state.lock:
        bench.state.ledger.end(bench.state.ledger.begin(task("x"), 1, 0.0).number, b"{}")
    bench.store.answers["beat"] = [["lost"]]
    bench.run("beat")
    bench.store.until(lambda: len(bench.store.of("beat")) >= 2)
    assert bench.children.stopped == []
    assert not bench.children.was_disowned


def test_a_heartbeat_can_be_the_first_to_hear_of_the_death(bench: Bench):
    bench.store.answers["beat"] = [None]
    bench.run("beat", "exchange")
    bench.store.until(lambda: bench.store.of("register"))
    assert bench.state.process_id != "p1"


# -- quotas -----------------------------------------------------------------------------------------
def test_the_quotas_are_part_of_every_call(bench: Bench):
    bench.state.quotas = {"a": Quota(max_concurrency=2)}
    bench.run("exchange")
    bench.store.until(lambda: bench.store.of("exchange"))
    assert bench.store.of("exchange")[0]["quotas"] == {"a": Quota(max_concurrency=2)}


def test_what_a_rate_holds_back_is_asked_for_when_it_is_let_through_and_not_before(bench: Bench):
    bench.store.answers["exchange"] = [ExchangeAnswer(True, again_ms=80), ExchangeAnswer(True, again_ms=60_000)]
    began_s = uptime_s()
    bench.run("exchange")
    bench.store.until(lambda: len(bench.store.of("exchange")) >= 2)
    assert uptime_s() - began_s >= 0.08
    assert len(bench.store.of("exchange")) == 2


def test_a_full_process_does_not_ask_when_the_time_has_come(bench: Bench):
    claimed = (task("x"), task("y"), task("z"))
    bench.store.answers["exchange"] = [ExchangeAnswer(True, (), claimed, again_ms=1)]
    bench.run("exchange")
    bench.await_held(3)
    with bench.state.lock:
        assert bench.state.ledger.held.keys() == {1, 2, 3}
        assert bench.conversation._pause_s() is None
    bench.end(1)
    bench.store.until(lambda: len(bench.store.of("exchange")) >= 2)


def test_an_answer_that_holds_nothing_back_ends_the_asking(bench: Bench):
    with bench.state.lock:
        bench.conversation._take_in(ExchangeAnswer(True, again_ms=5_000), 3)
        assert 4.0 < (bench.conversation._pause_s() or 0) <= 5.0
        bench.conversation._take_in(ExchangeAnswer(True), 3)
        assert bench.conversation._pause_s() is None


def test_nothing_is_asked_for_any_more_while_it_drains(bench: Bench):
    with bench.state.lock:
        bench.conversation._take_in(ExchangeAnswer(True, again_ms=1), 3)
        bench.state.is_claiming = False
        assert bench.conversation._pause_s() is None
        assert not bench.conversation._has_business()
