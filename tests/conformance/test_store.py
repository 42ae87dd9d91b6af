"""What every store promises about runs: start, take, load, commit, park, post, and the lists. See ports.Store.

Its other halves are test_store_tasks.py (worker processes) and test_store_time.py (everything that is due).
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from runner.errors import StoreError
from runner.store.limits import FRESH_MS, MAX_BATCH, MAX_DISPATCHES, MAX_VALUE_BYTES, MAX_WAITING, WATCH_MS
from runner.store.ports import MAX_INBOX, Commit, Dispatch, NewRun, Request, RunRow, Slot, StartAnswer, TakenRun
from tests.conformance.store_world import LEASE_MS, StoreWorld


def new_run(run_id: str, nonce: str = "nonce", digest: str = "digest") -> NewRun:
    return NewRun(run_id, nonce, digest, b'{"workflow":"order"}', b'{"order":1}')


# -- start ------------------------------------------------------------------------------------------
def test_a_start_puts_the_input_into_the_inbox(world: StoreWorld):
    assert world.store.start([new_run("r1")]) == [StartAnswer("created", "")]

    (run,) = world.take()
    assert (run.run_id, run.etag) == ("r1", "")
    (entry,) = run.entries
    assert (entry.kind, entry.body, entry.at_ms) == ("started", b'{"order":1}', world.clock.now_ms)


def test_a_repeated_start_is_the_same_start(world: StoreWorld):
    assert world.store.start([new_run("r1"), new_run("r1")]) == [StartAnswer("created", "")] * 2
    world.commit("r1")
    assert world.store.start([new_run("r1")]) == [StartAnswer("created", "running")]
    assert world.entries("r1") == []


@pytest.mark.parametrize(("digest", "answer"), [("digest", "existing"), ("other", "conflict")])
def test_another_start_of_a_run_that_is_there_changes_nothing(world: StoreWorld, digest: str, answer: str):
    world.store.start([new_run("r1")])
    world.commit("r1")
    assert world.store.start([new_run("r1", nonce="other", digest=digest)]) == [StartAnswer(answer, "running")]
    assert world.entries("r1") == []


def test_a_long_batch_of_starts_is_split(world: StoreWorld):
    runs = [new_run(f"r{number}") for number in range(MAX_BATCH + 1)]
    assert len(world.store.start(runs)) == world.store.count_live() == MAX_BATCH + 1


def test_an_oversized_input_is_refused_before_anything_is_written(world: StoreWorld):
    too_long = NewRun("r2", "n", "d", b"{}", b"x" * (MAX_VALUE_BYTES + 1))
    with pytest.raises(StoreError, match="the input of run r2"):
        world.store.start([new_run("r1"), too_long])
    assert world.store.count_live() == 0


@pytest.mark.parametrize("name", ["", "a|b", "a\nb", "a\x00", "x" * 513])
def test_names_that_could_pass_for_others_are_refused(world: StoreWorld, name: str):
    with pytest.raises(ValueError, match="printable characters"):
        world.store.start([new_run(name)])


# -- take -------------------------------------------------------------------------------------------
def test_runs_are_taken_oldest_first(world: StoreWorld):
    for run_id in ("r3", "r1", "r2"):
        world.start(run_id)
        world.clock.advance(1)
    assert [run.run_id for run in world.take(limit=2)] == ["r3", "r1"]
    assert [run.run_id for run in world.take()] == ["r2"]


@pytest.mark.parametrize(("waited_ms", "order"), [(FRESH_MS, ["begun", "new"]), (FRESH_MS + 1, ["new", "begun"])])
def test_what_has_begun_goes_before_a_new_run_for_a_while(world: StoreWorld, waited_ms: int, order: list[str]):
    """Few runs are under way at once then, and a flood of new ones delays nobody; but no new one waits for ever."""
    world.start("begun")
    world.take()
    world.commit("begun")
    world.start("new")
    world.clock.advance(waited_ms)
    world.store.post([Request("begun", "n", b"{}")])
    assert [run.run_id for run in world.take()] == order

def test_a_taken_run_is_not_handed_out_again_before_its_lease_is_over(world: StoreWorld):
    world.start("r1")
    assert len(world.take()) == 1
    world.pass_time(LEASE_MS - 1)
    assert world.take() == []
    world.pass_time(1)
    assert [run.run_id for run in world.take(engine="another")] == ["r1"]


def test_a_run_keeps_its_place_when_more_happens_to_it(world: StoreWorld):
    world.start("r1")
    world.clock.advance(1)
    world.start("r2")
    world.clock.advance(1)
    world.store.post([Request("r1", "n", b"signal")])
    assert [run.run_id for run in world.take()] == ["r1", "r2"]


def test_a_repeated_take_hands_out_the_same_runs(world: StoreWorld):
    world.process("engine", "engine")
    world.start("r1", "r2")
    first = world.store.take_runs("engine", "n", limit=1, lease_ms=LEASE_MS)
    assert world.store.take_runs("engine", "n", limit=1, lease_ms=LEASE_MS) == first
    assert [run.run_id for run in world.take()] == ["r2"]


def test_a_take_is_known_again_though_other_loops_of_the_engine_took_meanwhile(world: StoreWorld):
    world.process("engine", "engine")
    world.start("r1", "r2", "r3")
    takes = [("n0", 0), ("n1", 1), ("n2", 2)]

    def take() -> list[list[TakenRun]]:
        return [
            world.store.take_runs("engine", nonce, limit=1, lease_ms=LEASE_MS, loop=loop) for nonce, loop in takes
        ]

    first = take()
    assert [[run.run_id for run in taken] for taken in first] == [["r1"], ["r2"], ["r3"]]
    assert take() == first


def test_a_repeated_take_leaves_out_what_was_committed_meanwhile(world: StoreWorld):
    world.process("engine", "engine")
    world.start("r1")
    world.store.take_runs("engine", "n", limit=1, lease_ms=LEASE_MS)
    world.commit("r1")
    assert world.store.take_runs("engine", "n", limit=1, lease_ms=LEASE_MS) == []


def test_a_long_inbox_is_handed_out_in_parts(world: StoreWorld):
    world.start("r1")
    requests = [Request("r1", f"n{number}", b"%d" % number) for number in range(MAX_INBOX + 50)]
    assert set(world.store.post(requests)) == {"ok"}

    (run,) = world.take()
    assert len(run.entries) == MAX_INBOX
    world.commit("r1", entries_seen=MAX_INBOX)
    (run,) = world.take()
    assert [entry.body for entry in run.entries] == [b"%d" % number for number in range(MAX_INBOX - 1, MAX_INBOX + 50)]


def test_waiting_for_runs_ends_when_one_is_started(world: StoreWorld):
    assert world.store.wait_for_runs(0.01) is False
    world.start("r1")
    assert world.store.wait_for_runs(5) is True


def test_runs_that_are_left_wake_the_next_engine(world: StoreWorld):
    world.start("r1", "r2")
    assert world.store.wait_for_runs(5) is True
    world.take(limit=1)
    assert world.store.wait_for_runs(5) is True
    world.take(limit=1)
    assert world.store.wait_for_runs(0.01) is False


def test_runs_that_were_taken_wake_nobody(world: StoreWorld):
    world.start("r1")
    world.take()
    assert world.store.wait_for_runs(0.01) is False


# -- commit -----------------------------------------------------------------------------------------
def test_a_commit_is_what_is_loaded_afterwards(world: StoreWorld):
    world.start("r1")
    world.clock.advance(5)
    commit = world.commit("r1", state=b"\x00state", status="running", writes={"n:a": b"node", "": b"x"})

    run = world.store.load_runs(["r1"])[0]
    assert run is not None
    assert (run.etag, run.state, run.status, run.terminal) == (commit.etag, b"\x00state", "running", False)
    assert run.fields == {"n:a": b"node", "": b"x"}
    assert (run.entries, run.tasks) == ((), {})
    assert run.updated_at_ms - run.created_at_ms == 5
    assert world.store.history("r1") == [b"event"]


def test_the_states_of_runs_are_read_without_the_rest(world: StoreWorld):
    world.start("r1")
    world.start("r2")
    world.commit("r1", state=b"\x00state", status="running", writes={"n:a": b"node"})
    assert world.store.load_states(["r2", "r1", "nowhere"]) == [b"", b"\x00state", b""]
    assert world.store.load_states([]) == []


def test_a_commit_writes_only_what_it_names(world: StoreWorld):
    world.start("r1")
    world.commit("r1", writes={"n:a": b"1", "n:b": b"1"})
    world.commit("r1", writes={"n:b": b"2"})
    run = world.store.load_runs(["r1"])[0]
    assert run is not None
    assert run.fields == {"n:a": b"1", "n:b": b"2"}


def test_names_of_callers_cannot_collide_with_the_stores_own(world: StoreWorld):
    world.start("r1")
    writes = dict.fromkeys(("etag", "end", "head", "tail", "fence", "state", "t:a", "i:0", "w:etag"), b"mine")
    world.commit("r1", writes=writes)
    run = world.store.load_runs(["r1"])[0]
    assert run is not None
    assert (run.fields, run.tasks, run.state) == (writes, {}, b"state")


def test_of_two_commits_on_the_same_state_only_the_first_counts(world: StoreWorld):
    world.start("r1")
    first, second = (world.next_commit("r1", "a", writes={"n": name}) for name in (b"first", b"second"))
    assert world.store.commit([first]) == ["ok"]
    assert world.store.commit([second]) == ["stale"]

    run = world.store.load_runs(["r1"])[0]
    assert run is not None
    assert (run.etag, run.fields["n"], len(world.store.history("r1"))) == (first.etag, b"first", 1)


def test_a_run_is_started_where_its_definition_is_kept(world: StoreWorld):
    new = NewRun("r1", "n", "d", b"{}", b"in", Slot("s", 1, "reject"), ("digest", "child"))
    assert world.store.start([new, NewRun("r2", "n", "d", b"{}", b"in")]) == [
        StartAnswer("undefined"), StartAnswer("created")]
    assert world.store.load_runs(["r1"]) == [None]
    assert world.store.slot("s") is None
    world.store.put_definition("digest", b"{}")
    assert world.store.start([new]) == [StartAnswer("undefined")]
    world.store.put_definition("child", b"{}")
    assert world.store.start([new]) == [StartAnswer("created")]


def test_a_repeated_commit_is_answered_and_not_done_again(world: StoreWorld):
    world.start("r1")
    commit = world.commit("r1", "a")
    before = world.snapshot()
    assert world.store.commit([commit]) == ["ok"]
    assert world.store.history("r1") == [b"event"]
    assert world.snapshot() == before


def test_a_commit_that_saw_more_entries_than_wait_is_stale(world: StoreWorld):
    world.start("r1")
    commit = world.next_commit("r1")
    assert world.store.commit([replace(commit, entries_seen=2)]) == ["stale"]


def test_a_commit_that_saw_another_entry_is_stale(world: StoreWorld):
    """A server that was set back lost the entry, and another one came in its place."""
    world.running("r1", "a", "b")
    world.process()
    first, second = world.claim(capacity=2)
    world.complete(first)
    seen = world.entries("r1")[0].mark
    commit = world.next_commit("r1", last_seen=seen)
    assert world.store.commit([replace(commit, last_seen=seen.replace("|a|", "|b|"))]) == ["stale"]
    world.complete(second)
    assert world.store.commit([commit]) == ["ok"]
    assert [entry.path for entry in world.entries("r1")] == ["b"]
    again = world.next_commit("r1", last_seen=world.entries("r1")[0].mark)
    assert world.store.commit([replace(again, etag="x", last_seen=seen), again]) == ["stale", "ok"]


def test_a_commit_of_an_unknown_run_is_gone(world: StoreWorld):
    assert world.store.commit([Commit("nobody", "", "e1", 0, b"", "running")]) == ["gone"]


def test_entries_that_came_after_the_commit_was_decided_stay(world: StoreWorld):
    world.start("r1")
    world.take()
    commit = world.next_commit("r1")
    world.store.post([Request("r1", "n", b"cancel")])
    assert world.store.commit([commit]) == ["ok"]
    assert [entry.body for entry in world.take()[0].entries] == [b"cancel"]


def test_entries_behind_a_stale_engine_are_handed_out_at_once(world: StoreWorld):
    """Two engines took the run; the slower one's commit is refused, and the entry that only it saw must not wait."""
    world.start("r1")
    world.take(engine="slow")
    commit = world.next_commit("r1")
    world.store.post([Request("r1", "n", b"cancel")])
    assert len(world.take(engine="fast")[0].entries) == 2
    assert world.store.commit([commit]) == ["ok"]
    assert [entry.body for entry in world.take(engine="third")[0].entries] == [b"cancel"]


def test_a_commit_may_ask_to_be_handed_out_again(world: StoreWorld):
    world.start("r1")
    world.take()
    world.commit("r1", again=True)
    assert [(run.run_id, run.entries) for run in world.take()] == [("r1", ())]
    world.commit("r1")
    world.pass_time(LEASE_MS)
    assert world.take() == []


def test_a_commit_that_asked_again_survives_the_engine_that_took_it(world: StoreWorld):
    world.start("r1")
    world.commit("r1", again=True)
    world.take()
    world.pass_time(LEASE_MS)
    assert [run.run_id for run in world.take()] == ["r1"]


def test_bad_items_do_not_keep_the_others_of_a_batch_back(world: StoreWorld):
    world.start("r1", "r2", "r3")
    world.commit("r3", "open")
    good, stale = world.next_commit("r1"), world.next_commit("r2", etag_read="wrong")
    again, gone = world.next_commit("r3", "open"), Commit("nobody", "", "e", 0, b"", "")
    assert world.store.commit([stale, gone, again, good]) == ["stale", "gone", "tampered", "ok"]
    assert world.store.history("r1") == [b"event"]
    assert world.store.history("r2") == []


def test_one_run_may_be_committed_twice_in_a_batch(world: StoreWorld):
    world.start("r1")
    first = world.next_commit("r1", timers=(("x", 5), ("y", 5)), etag="e1")
    second = world.next_commit("r1", "a", timers_cleared=("x",), etag_read="e1", etag="e2", entries_seen=0)
    assert world.store.commit([first, second]) == ["ok", "ok"]
    assert world.snapshot().timers == {("r1", "y"): 5}


def test_a_commit_takes_a_bounded_number_of_dispatches(world: StoreWorld):
    world.start("r1")
    paths = [f"p{number}" for number in range(MAX_DISPATCHES + 1)]
    with pytest.raises(ValueError, match="dispatches"):
        world.store.commit([world.next_commit("r1", *paths)])
    world.commit("r1", *paths[:-1])
    assert world.store.queue_depths() == {"q": MAX_DISPATCHES}


@pytest.mark.parametrize("number", [-1, 1.5, float("nan"), float("inf"), True, 2**53])
def test_numbers_that_are_no_times_are_refused(world: StoreWorld, number: float):
    world.start("r1")
    with pytest.raises(ValueError, match="whole number"):
        world.store.commit([world.next_commit("r1", timers=(("t", number),))])
    assert world.store.history("r1") == []


def test_more_than_a_batch_of_commits_is_split(world: StoreWorld):
    run_ids = [f"r{number}" for number in range(MAX_BATCH + 1)]
    world.start(*run_ids)
    commits = [world.next_commit(run_id, "a") for run_id in run_ids]
    assert world.store.commit(commits) == ["ok"] * len(run_ids)
    assert world.store.queue_depths() == {"q": len(run_ids)}


# -- the end of a run -------------------------------------------------------------------------------
def test_a_terminal_commit_leaves_nothing_but_the_record(world: StoreWorld):
    world.running("r1", "queued", "running", timers=(("t", 5_000),))
    world.process()
    world.claim(capacity=1)
    world.store.post([Request("r1", "n", b"cancel")])
    world.end("r1", entries_seen=0)

    found = world.snapshot()
    assert found.ended == {"r1"}
    indexes = [found.live, found.ready, found.watch, found.deadlines, found.timers, found.leftovers]
    assert not any(indexes)
    assert not any(found.queues.values())
    assert not any(found.held.values())
    assert found.waiting == {"r1": 0}
    assert len(world.store.history("r1")) == 2


def test_an_ended_run_takes_nothing_more(world: StoreWorld):
    world.start("r1")
    commit = world.end("r1")
    assert world.store.commit([commit]) == ["ok"]
    assert world.store.commit([world.next_commit("r1")]) == ["stale"]
    assert world.store.post([Request("r1", "n", b"cancel")]) == ["ended"]
    assert world.store.park("r1", commit.etag, delay_ms=1, stuck=False, error=b"") == 0
    assert world.store.start([new_run("r1", nonce="other")]) == [StartAnswer("existing", "completed")]
    run = world.store.load_runs(["r1"])[0]
    assert run is not None
    assert run.terminal


def test_an_ended_run_expires_after_its_retention(world: StoreWorld):
    world.start("kept", "dropped")
    world.end("kept")
    world.end("dropped", retention_ms=1_000)
    world.pass_time(999)
    assert world.store.find_runs("") == ["dropped", "kept"]
    world.pass_time(1)
    assert world.store.find_runs("") == ["kept"]
    assert world.store.load_runs(["dropped"]) == [None]
    assert world.store.history("dropped") == []


def test_a_run_that_expired_may_be_started_anew(world: StoreWorld):
    world.start("r1")
    world.end("r1", retention_ms=1)
    world.pass_time(1)
    world.start("r1")
    assert world.store.history("r1") == []


# -- park -------------------------------------------------------------------------------------------
def test_a_parked_run_comes_back_after_its_delay(world: StoreWorld):
    world.start("r1")
    world.take()
    assert world.store.park("r1", "", delay_ms=5_000, stuck=False, error=b"trace") == 1
    world.pass_time(4_999)
    assert world.take() == []
    world.pass_time(1)
    assert [run.run_id for run in world.take()] == ["r1"]
    run = world.store.load_runs(["r1"])[0]
    assert run is not None
    assert (run.parked, run.broken) == (1, b"trace")


def test_parking_is_counted_until_a_commit_succeeds(world: StoreWorld):
    world.start("r1")
    park = [world.store.park("r1", "", delay_ms=1, stuck=False, error=b"trace") for _ in range(3)]
    commit = world.commit("r1")
    run = world.store.load_runs(["r1"])[0]
    assert run is not None
    assert (park, run.parked, run.broken) == ([1, 2, 3], 0, b"")
    assert world.store.park("r1", commit.etag, delay_ms=1, stuck=False, error=b"trace") == 1


def test_a_run_of_another_etag_is_not_parked(world: StoreWorld):
    world.start("r1")
    world.commit("r1")
    assert world.store.park("r1", "", delay_ms=1, stuck=True, error=b"trace") == 0
    assert world.store.park("nobody", "", delay_ms=1, stuck=True, error=b"trace") == 0


def test_a_run_that_was_woken_while_it_broke_is_parked_all_the_same(world: StoreWorld):
    world.start("r1")
    world.take()
    world.store.post([Request("r1", "n", b"signal")])
    world.store.park("r1", "", delay_ms=1_000, stuck=False, error=b"trace")
    assert world.take() == []


@pytest.mark.parametrize("process", ["worker", "engine"])
def test_the_death_of_a_process_does_not_wake_a_parked_run(world: StoreWorld, process: str):
    world.claimed("r1")
    world.process("engine", "engine")
    world.store.post([Request("r1", "n", b"signal")])
    etag = world.take()[0].etag
    world.store.park("r1", etag, delay_ms=1_000, stuck=False, error=b"trace")
    world.store.reap(process)
    assert world.take() == []


def test_bytes_of_any_kind_and_length_come_back_as_they_were(world: StoreWorld):
    """Lengths at which a packed string changes its form, and bytes that are no text."""
    texts = [b"", b"x" * 31, b"x" * 32, b"x" * 255, b"x" * 256, b"x" * 65_535, b"x" * 65_536, "ü€😀".encode(), b"\n|\0"]
    for values in (texts, [*texts, bytes(range(256))]):
        run_id = f"r{len(values)}"
        world.start(run_id)
        writes = {f"f{number}": value for number, value in enumerate(values)}
        fields = {"payload": values[-1], **writes}
        commit = world.commit(run_id, "a", writes=fields, state=values[-1], history=tuple(values))
        run = world.store.load_runs([run_id])[0]
        assert run is not None
        assert {name: run.fields[name] for name in writes} == writes
        assert (run.state, run.etag, world.store.history(run_id)) == (values[-1], commit.etag, values)
        world.process()
        assert [task.payload for task in world.claim()] == [values[-1]]


def test_a_commit_takes_a_stuck_run_back_into_care(world: StoreWorld):
    world.start("r1")
    world.store.park("r1", "", delay_ms=1, stuck=True, error=b"trace")
    world.commit("r1", timers=(("t", world.clock.now_ms + 5),))
    assert world.snapshot().watch == {"r1": world.clock.now_ms + WATCH_MS}
    world.pass_time(5)
    assert [entry.kind for entry in world.take()[0].entries] == ["timer"]


def test_what_happens_to_a_parked_run_does_not_wake_it(world: StoreWorld):
    task = world.claimed("r1")
    etag = world.store.load_runs(["r1"])[0].etag  # type: ignore[union-attr]
    world.store.park("r1", etag, delay_ms=1_000, stuck=False, error=b"trace")
    assert world.complete(task) == "recorded"
    assert world.take() == []
    world.pass_time(1_000)
    assert [entry.kind for entry in world.take()[0].entries] == ["outcome"]


def test_only_a_request_wakes_a_stuck_run(world: StoreWorld):
    world.start("r1")
    world.take()
    world.store.park("r1", "", delay_ms=1, stuck=True, error=b"trace")
    world.pass_time(120_000)
    assert world.take() == []
    world.store.post([Request("r1", "n", b"resume")])
    assert [entry.kind for entry in world.take()[0].entries] == ["started", "request"]


# -- post -------------------------------------------------------------------------------------------
def test_a_request_is_taken_once_per_nonce(world: StoreWorld):
    world.start("r1")
    world.commit("r1")
    request = Request("r1", "n", b"cancel")
    assert world.store.post([request, request]) == ["ok", "ok"]
    assert [entry.body for entry in world.entries("r1")] == [b"cancel"]
    world.end("r1")
    assert world.store.post([request]) == ["ok"]


def test_a_request_to_nobody_is_gone(world: StoreWorld):
    world.start("r1")
    assert world.store.post([Request("nobody", "n", b""), Request("r1", "n", b"")]) == ["gone", "ok"]


def test_an_inbox_does_not_grow_without_bound(world: StoreWorld):
    world.start("r1")
    requests = [Request("r1", f"n{number}", b"x") for number in range(MAX_WAITING)]
    with pytest.raises(StoreError, match="run r1 takes no more requests"):
        world.store.post(requests)
    assert world.snapshot().waiting == {"r1": MAX_WAITING}


# -- lists ------------------------------------------------------------------------------------------
def test_runs_are_listed_newest_first(world: StoreWorld):
    for run_id in ("r2", "r1", "r3"):
        world.start(run_id)
        world.clock.advance(1)
    world.commit("r1", status="running")
    rows = world.store.list_runs()
    assert [row.run_id for row in rows] == ["r3", "r1", "r2"]
    assert rows[1] == RunRow("r1", "running", b"{}", rows[1].created_at_ms, rows[1].updated_at_ms)
    assert [row.run_id for row in world.store.list_runs(limit=1, offset=1)] == ["r1"]
    assert [row.run_id for row in world.store.list_runs(status="running")] == ["r1"]
    assert world.store.list_runs(status="running", offset=1) == []


def test_a_rare_status_is_found_among_many_runs(world: StoreWorld):
    world.start("r0")
    world.commit("r0", status="stuck")
    world.clock.advance(1)
    world.start(*(f"other{number}" for number in range(1_100)))
    assert [row.run_id for row in world.store.list_runs(status="stuck", limit=1)] == ["r0"]


def test_runs_are_found_by_the_beginning_of_their_id(world: StoreWorld):
    world.start("abc1", "abc2", "abd1", "b*c")
    assert world.store.find_runs("abc") == ["abc1", "abc2"]
    assert world.store.find_runs("ab", limit=2) == ["abc1", "abc2"]
    assert world.store.find_runs("b*") == ["b*c"]
    assert world.store.find_runs("*") == []


def test_loading_answers_every_id(world: StoreWorld):
    world.start("r1")
    nobody, run = world.store.load_runs(["nobody", "r1"])
    assert nobody is None
    assert run is not None
    assert (run.run_id, run.etag, run.status, run.state, run.summary) == ("r1", "", "", b"", b"{}")
    assert [entry.kind for entry in run.entries] == ["started"]


def test_history_is_read_from_any_point(world: StoreWorld):
    world.start("r1")
    world.commit("r1", history=tuple(b"%d" % number for number in range(600)))
    assert len(world.store.history("r1")) == 600
    assert world.store.history("r1", start=598) == [b"598", b"599"]
    assert world.store.history("nobody") == []


def test_the_first_definition_of_a_digest_stays(world: StoreWorld):
    world.store.put_definition("d", b"first")
    world.store.put_definition("d", b"second")
    assert world.store.get_definition("d") == b"first"
    assert world.store.get_definition("other") is None


def test_later_contracts_replace_earlier_ones(world: StoreWorld):
    world.store.put_workers({"a": b"1", "b": b"1"})
    world.store.put_workers({"b": b"2"})
    world.store.put_workers({})
    assert world.store.get_workers() == {"a": b"1", "b": b"2"}


def test_queue_depths_count_what_waits(world: StoreWorld):
    world.running("r1", "a", "b")
    world.process()
    world.claim()
    assert world.store.queue_depths() == {"q": 1}


def test_a_dispatch_carries_its_own_message_and_queue(world: StoreWorld):
    world.start("r1")
    dispatches = (Dispatch("a", "one", b"A", "p"), Dispatch("b", "two", b"B", "p"))
    world.commit("r1", dispatches=dispatches, writes={"p": b"P"})
    world.process()
    (task,) = world.claim(queues=["two"])
    assert (task.path, task.queue, task.message, task.payload) == ("b", "two", b"B", b"P")


def test_a_commit_may_write_thousands_of_fields(world: StoreWorld):
    """A loop of a thousand items begins with several for each of them."""
    world.store.start([NewRun("r1", "n", "d", b"{}", b"input")])
    nodes = {f"n:{number}": b"x" for number in range(3_900)}
    assert world.store.commit([Commit("r1", "", "e1", 0, b"s", "running", writes=nodes)]) == ["ok"]
    assert len(world.store.load_runs(["r1"])[0].fields) == len(nodes)
