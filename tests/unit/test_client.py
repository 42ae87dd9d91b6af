"""The client: starting, keys, waiting, and what is asked of runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from runner import client as client_module
from runner import starting
from runner.client import Client
from runner.errors import (
    ConfigError,
    DefinitionError,
    DuplicateRun,
    InputError,
    RunConflict,
    RunLimited,
    RunNotFound,
    SignalMisfit,
    StoreUnavailable,
    UsageError,
    VerbRefused,
)
from runner.interpreter.event import RequestRefused
from runner.starting import derived_run_id, new_run, random_run_id
from runner.store.ports import NewRun, StartAnswer, StoredRun
from tests.desk import EVERYTHING, ORDER, Desk, desk_of_a_parent


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def with_on_duplicate(tmp_path: Path, answer: str) -> Desk:
    return Desk(tmp_path, ORDER.replace("steps:", f"on_duplicate: {answer}\nsteps:", 1))


# -- starting -----------------------------------------------------------------------------------------
def test_a_start_fills_in_defaults_and_completes(desk: Desk):
    handle = desk.start()
    assert handle.created
    assert handle.status() == "pending"
    desk.work()
    result = handle.result(timeout=0)
    assert result.is_completed
    assert result.output == {"charged": 5}


def test_the_same_key_and_input_is_the_same_run(desk: Desk):
    first, again = desk.start(), desk.start()
    assert again.id == first.id
    assert not again.created


def test_inputs_are_compared_with_their_defaults_filled_in(desk: Desk):
    assert desk.start(amount=5).id == desk.start().id


def test_the_same_key_with_another_input_is_a_conflict_that_names_the_run(desk: Desk):
    first = desk.start()
    with pytest.raises(RunConflict, match=first.id):
        desk.start(amount=6)


def test_a_given_key_stands_above_the_definitions(desk: Desk):
    by_input = desk.start()
    by_key = desk.client.start(desk.definition, {"id": "A-1"}, "another")
    assert by_key.id != by_input.id
    assert by_key.id == derived_run_id("desk", "order", "another")


def test_without_a_key_every_start_is_a_new_run(tmp_path: Path):
    desk = Desk(tmp_path, ORDER.replace('idempotency_key: "{{ input.id }}"\n', ""))
    assert desk.start().id != desk.start().id


def test_reject_refuses_a_second_start(tmp_path: Path):
    desk = with_on_duplicate(tmp_path, "reject")
    desk.start()
    with pytest.raises(DuplicateRun, match="on_duplicate says reject"):
        desk.start()


def test_rerun_if_undone_starts_again_only_what_was_undone(tmp_path: Path):
    desk = with_on_duplicate(tmp_path, "rerun_if_undone")
    first = desk.start(fail="declined")
    assert desk.start(fail="declined").id == first.id  # it is under way
    desk.wait(1_000)
    second = desk.start(fail="declined")
    assert second.created
    assert second.id == derived_run_id("desk", "order", "A-1~2")
    desk.wait(1_000)
    third = desk.start(fail="declined")
    info = desk.client.list()[0]
    assert (info.run_id, info.key, info.rerun_of) == (third.id, "A-1~3", second.id)


def test_a_crash_before_the_start_leaves_no_run_without_its_definition(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    start, crashes = desk.store.start, iter([True, True, False])

    def start_after_a_crash(runs: Sequence[NewRun]) -> list[StartAnswer]:
        if next(crashes):
            desk.store._tables.definitions.clear()  # the server was set back to a moment before they came
        return start(runs)

    monkeypatch.setattr(desk.store, "start", start_after_a_crash)
    assert desk.start().status() == "pending"
    assert desk.store.get_definition(desk.definition.digest) is not None


def test_a_server_that_keeps_no_definition_is_told(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(desk.store, "put_definition", lambda digest, document: None)
    with pytest.raises(StoreUnavailable, match="does not keep the definition of order"):
        desk.start()


def test_a_key_that_cannot_be_made_of_the_input_starts_nothing(tmp_path: Path):
    desk = Desk(tmp_path, ORDER.replace("{{ input.id }}", "{{ input.ids }}", 1))
    with pytest.raises(InputError, match="idempotency key"):
        desk.start()
    assert desk.client.list() == []


@pytest.mark.parametrize("key", ["", "x" * 257, "two\nlines"])
def test_a_key_has_to_be_short_printable_text(desk: Desk, key: str):
    if key:
        with pytest.raises(InputError, match="printable"):
            desk.client.start(desk.definition, {"id": "A-1"}, key)
    else:
        with pytest.raises(InputError, match="idempotency key"):
            desk.start(id="")


def test_many_are_started_together_or_not_at_all(desk: Desk):
    with pytest.raises(InputError):
        desk.client.start_many(desk.definition, [{"id": "1"}, {"id": 2}])
    assert desk.client.list() == []
    handles = desk.client.start_many(desk.definition, [{"id": str(number)} for number in range(250)])
    desk.work()
    assert {handle.result(timeout=0).status for handle in handles} == {"completed"}


def test_of_many_the_first_are_under_way_before_the_last_are_made(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    """A client that wrote all of them first would keep engines and workers waiting meanwhile."""
    made, sent_after = [], []
    monkeypatch.setattr("runner.client.new_run", lambda *args, **about: made.append(1) or new_run(*args, **about))
    start = desk.client.store.start
    monkeypatch.setattr(desk.client.store, "start", lambda runs: sent_after.append(len(made)) or start(runs))
    desk.client.start_many(desk.definition, [{"id": str(number)} for number in range(450)])
    assert sent_after == [200, 400, 450]


# -- concurrency ----------------------------------------------------------------------------------------
def with_concurrency(tmp_path: Path, on_limit: str = "queue", *, extra: str = "") -> Desk:
    """One at a time for each amount."""
    given = f'concurrency: {{key: "{{{{ input.amount }}}}", limit: 1, on_limit: {on_limit}}}\n{extra}'
    return Desk(tmp_path, ORDER.replace("steps:", f"{given}steps:", 1))


def test_a_run_beyond_the_limit_waits_until_another_is_over(tmp_path: Path):
    desk = with_concurrency(tmp_path)
    first, second, other = desk.start(id="1"), desk.start(id="2"), desk.start(id="3", amount=7)
    assert second.created
    desk.take_up()
    assert (first.status(), second.status(), other.status()) == ("running", "pending", "running")
    assert [(run.run_id, run.waits_for) for run in desk.client.list(status="pending")] == [(second.id, "order:5")]
    desk.work()
    assert second.result(timeout=0).is_completed
    assert desk.calls == ["reserve 1", "reserve 3", "charge 5", "charge 7", "reserve 2", "charge 5"]


def test_a_run_beyond_a_limit_that_rejects_is_an_error_that_names_who_is_under_way(tmp_path: Path):
    desk = with_concurrency(tmp_path, "reject")
    first = desk.start(id="1")
    said = f"order has at most 1 run under way at once with the key '5', .* is {first.id}"
    with pytest.raises(RunLimited, match=said):
        desk.start(id="2")
    assert len(desk.client.list()) == 1
    assert desk.start(id="1").id == first.id  # the same key is the same run, and needs no second place
    desk.work()
    assert desk.start(id="2").created


def test_a_stuck_run_lets_the_next_begin_and_goes_on_beside_it(tmp_path: Path):
    desk = with_concurrency(tmp_path)
    stuck, second = desk.start(id="1", fail="undo"), desk.start(id="2")
    for _ in range(5):
        desk.wait(1_000)
    assert (stuck.status(), second.result(timeout=0).status) == ("stuck", "completed")
    third = desk.start(id="3")
    desk.undo_is_broken = False
    desk.client.resume(stuck.id, timeout=0)
    desk.work()
    assert stuck.result(timeout=0).status == "compensated"
    assert third.result(timeout=0).status == "completed"


@pytest.mark.parametrize(("verb", "status"), [("cancel", "cancelled"), ("abandon", "abandoned")])
def test_a_run_that_waits_is_ended_at_once_and_does_nothing(tmp_path: Path, verb: str, status: str):
    desk = with_concurrency(tmp_path)
    first, second, third = desk.start(id="1"), desk.start(id="2"), desk.start(id="3")
    desk.take_up()
    getattr(desk.client, verb)(second.id, timeout=0)
    desk.take_up()
    assert (second.status(), third.status()) == (status, "pending")
    desk.work()
    assert {first.status(), third.status()} == {"completed"}
    assert [call for call in desk.calls if call.endswith("2")] == []


def test_the_timeout_of_a_run_counts_from_when_it_may_begin(tmp_path: Path):
    desk = with_concurrency(tmp_path, extra="timeout: 1m\n")
    first, second = desk.start(id="1"), desk.start(id="2")
    desk.take_up()
    desk.clock.advance(45_000)
    desk.client.abandon(first.id, timeout=0)
    desk.take_up()
    desk.take_up()
    state = desk.client.state(desk.client.stored(second.id))
    assert state is not None
    assert state.header.started_at_ms == desk.clock.now_ms
    assert [*desk.store._tables.timers.values()] == [desk.clock.now_ms + 60_000]


def test_a_rerun_needs_a_place_too(tmp_path: Path):
    desk = with_concurrency(tmp_path, "reject")
    ended = desk.run(id="1")
    desk.start(id="2")
    with pytest.raises(RunLimited):
        desk.client.rerun(ended)
    desk.work()
    assert desk.client.rerun(ended).created


def test_a_run_that_waits_can_be_neither_resumed_nor_run_again(tmp_path: Path):
    desk = with_concurrency(tmp_path)
    desk.start(id="1")
    waiting = desk.start(id="2")
    for verb in ("resume", "rerun"):
        with pytest.raises(VerbRefused, match="is pending"):
            getattr(desk.client, verb)(waiting.id)


def test_as_many_keys_as_inputs_are_needed(desk: Desk):
    with pytest.raises(UsageError, match="2 inputs and 1 idempotency keys"):
        desk.client.start_many(desk.definition, [{"id": "1"}, {"id": "2"}], ["one"])


def test_a_definition_is_found_by_its_file_and_by_its_name(desk: Desk, tmp_path: Path):
    (tmp_path / "definitions").mkdir()
    (tmp_path / "definitions/order.yaml").write_text(ORDER)
    by_file = desk.client.start(tmp_path / "definitions/order.yaml", {"id": "1"})
    by_name = desk.client.start("order", {"id": "1"})
    assert by_file.id == by_name.id


def test_a_definition_that_is_not_there_or_wrong_starts_nothing(desk: Desk, tmp_path: Path):
    with pytest.raises(ConfigError, match="no definition 'ordr'"):
        desk.client.start("ordr", {})
    (tmp_path / "wrong.yaml").write_text(ORDER.replace("steps.charge.output", "steps.chrage.output"))
    with pytest.raises(DefinitionError, match="chrage"):
        desk.client.start(tmp_path / "wrong.yaml", {"id": "1"})
    assert desk.client.list() == []


def test_run_ids_are_sixteen_letters_that_cannot_be_misread():
    for run_id in (random_run_id(), derived_run_id("a", "b", "c")):
        assert len(run_id) == 16
        assert set(run_id) <= set("0123456789abcdefghjkmnpqrstvwxyz")


# -- finding and waiting ------------------------------------------------------------------------------
def test_a_run_is_found_by_the_beginning_of_its_id(desk: Desk):
    handle = desk.start()
    assert desk.client.get(handle.id[:5]).id == handle.id
    assert desk.client.get(handle.id.upper()).id == handle.id


def test_a_beginning_that_several_have_is_told(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(starting, "derived_run_id", lambda _n, _w, key: f"aaaa{key:0>12}")
    desk.start(id="1")
    desk.start(id="2")
    with pytest.raises(RunNotFound, match="several runs"):
        desk.client.get("aaaa")


@pytest.mark.parametrize("name", ["zzzz", "not an id", "", "a*"])
def test_a_run_that_is_not_there_is_told(desk: Desk, name: str):
    with pytest.raises(RunNotFound):
        desk.client.get(name)


def test_waiting_ends_with_the_time_and_the_run_goes_on(desk: Desk):
    handle = desk.start()
    with pytest.raises(TimeoutError, match="it goes on"):
        handle.result(timeout=0)


def test_a_failed_run_is_a_value(desk: Desk):
    run_id = desk.run(fail="declined")
    result = desk.client.get(run_id).result(timeout=0)
    assert result.status == "compensated"
    assert not result.is_completed
    assert result.error is not None
    assert result.error.code == "declined"


def test_a_stuck_run_is_a_result_too(desk: Desk):
    assert desk.client.get(desk.run(fail="undo")).result(timeout=0).status == "stuck"


# -- asking -------------------------------------------------------------------------------------------
def test_cancel_before_an_engine_looks_is_asked_for_and_then_done(desk: Desk):
    handle = desk.start()
    assert desk.client.cancel(handle.id, timeout=0) == "asked"
    desk.work()
    assert handle.status() == "cancelled"


def test_resume_asks_the_stuck_undo_again(desk: Desk):
    run_id = desk.run(fail="undo")
    desk.undo_is_broken = False
    assert desk.client.resume(run_id, timeout=0) == "asked"
    desk.work()
    assert desk.client.get(run_id).status() == "compensated"
    assert desk.calls.count("release A-1") == 2


def test_the_engines_answer_is_waited_for(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    run_id = desk.run(fail="undo")
    monkeypatch.setattr(client_module.time, "sleep", lambda _s: desk.work())
    assert desk.client.resolve(run_id, "reserve", "skipped") == "accepted"
    assert desk.client.get(run_id).status() == "abandoned"


def test_a_refusal_by_the_engine_is_raised_with_its_reason(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    run_id = desk.run(fail="undo")
    monkeypatch.setattr(client_module.time, "sleep", lambda _s: desk.work())
    with pytest.raises(VerbRefused, match="say compensated"):
        desk.client.resolve(run_id, "reserve", "completed")
    with pytest.raises(VerbRefused, match="not stuck"):
        desk.client.resolve(run_id, "charge", "failed")


def test_what_would_surely_be_refused_is_refused_at_once(desk: Desk):
    completed = desk.run()
    stuck = desk.run(id="B", fail="undo")
    for ask in (desk.client.cancel, desk.client.resume, desk.client.abandon):
        with pytest.raises(VerbRefused, match="is completed already"):
            ask(completed)
    with pytest.raises(VerbRefused, match="resume, resolve or abandon"):
        desk.client.cancel(stuck)
    running = desk.start(id="C").id
    with pytest.raises(VerbRefused, match="only a stuck one can be resumed"):
        desk.client.resume(running)


def test_a_stuck_item_is_resolved_by_its_path_or_by_the_end_of_it(tmp_path: Path):
    desk = Desk(tmp_path, EVERYTHING)
    run_id = desk.client.start(desk.definition, {"risk": 0, "fail": "undo"}).id
    desk.work()
    desk.wait(3 * 86_400_000)

    def resolve(step: str) -> list[str]:
        desk.client.resolve(run_id, step, "compensated", timeout=0)
        desk.work()
        events = desk.client.get(run_id).events()
        return [event.why for event in events if isinstance(event, RequestRefused)]

    first, second = "checks.stock/lines#2/hold", "checks.stock/lines#1/hold"
    assert resolve("hold") == [f"step 'hold' is stuck more than once (stuck: '{first}', '{second}')"]
    assert len(resolve("lines#2/hold")) == 1
    assert status_of(desk, run_id, first) == "compensated"
    assert len(resolve(second)) == 1
    assert status_of(desk, run_id, second) == "compensated"
    assert "is not stuck" in resolve("lines#7/hold")[-1]
    assert desk.client.get(run_id).status() == "stuck"  # item 0 is undone last


# -- signals ------------------------------------------------------------------------------------------
@pytest.fixture
def waiting(tmp_path: Path) -> tuple[Desk, str]:
    """A run that waits for the signal review."""
    desk = Desk(tmp_path, EVERYTHING)
    run_id = desk.client.start(desk.definition).id
    desk.work()
    return desk, run_id


def status_of(desk: Desk, run_id: str, path: str) -> str:
    run = desk.client.state(desk.client.stored(run_id))
    assert run is not None
    return run.nodes[path].status


def test_a_signal_is_taken_by_the_step_that_waits_with_its_defaults_filled_in(waiting: tuple[Desk, str]):
    desk, run_id = waiting
    assert desk.client.signal(run_id[:6], "review", {"approved": True}, timeout=0) == "asked"
    desk.work()
    run = desk.client.state(desk.client.stored(run_id))
    assert run is not None
    assert run.payloads["risk.0/review:output"] == {"approved": True, "note": ""}
    assert status_of(desk, run_id, "risk.0/review") == "completed"


def test_the_same_signal_twice_is_sent_once(waiting: tuple[Desk, str]):
    desk, run_id = waiting
    for _ in range(2):  # nobody has answered yet: the store knows it
        assert desk.client.signal(run_id, "review", {"approved": True}, signal_id="mail-7", timeout=0) == "asked"
    desk.work()
    assert desk.client.signal(run_id, "review", {"approved": False}, signal_id="mail-7", timeout=0) == "repeated"
    desk.work()
    kinds = [type(event).__name__ for event in desk.client.get(run_id).events()]
    assert (kinds.count("SignalKept"), kinds.count("SignalTaken")) == (1, 1)


def test_a_repeat_is_told_also_when_the_run_is_over(waiting: tuple[Desk, str]):
    desk, run_id = waiting
    desk.client.signal(run_id, "review", {"approved": True}, signal_id="mail-7", timeout=0)
    desk.work()
    desk.wait(3 * 86_400_000)
    assert desk.client.get(run_id).status() == "completed"
    assert desk.client.signal(run_id, "review", {"approved": True}, signal_id="mail-7") == "repeated"
    with pytest.raises(VerbRefused, match="is completed already"):
        desk.client.signal(run_id, "review", {"approved": True}, signal_id="mail-8")


def test_a_signal_that_ends_the_run_while_it_is_sent_again_is_a_repeat(
    waiting: tuple[Desk, str], monkeypatch: pytest.MonkeyPatch
):
    desk, run_id = waiting
    desk.client.signal(run_id, "review", {"approved": True}, signal_id="mail-7", timeout=0)
    check = desk.client.check_applies

    def check_late(run_id: str, verb: str) -> StoredRun:
        desk.work()
        desk.wait(3 * 86_400_000)
        return check(run_id, verb)

    monkeypatch.setattr(desk.client, "check_applies", check_late)
    assert desk.client.signal(run_id, "review", {"approved": True}, signal_id="mail-7", timeout=0) == "repeated"


def test_an_answer_that_comes_while_a_signal_is_sent_again_is_not_missed(
    waiting: tuple[Desk, str], monkeypatch: pytest.MonkeyPatch
):
    desk, run_id = waiting
    desk.client.signal(run_id, "review", {"approved": True}, signal_id="mail-7", timeout=0)
    check = desk.client.check_applies

    def check_late(run_id: str, verb: str) -> StoredRun:
        desk.work()  # takes the signal between the look for an earlier one and the first look for the answer
        return check(run_id, verb)

    monkeypatch.setattr(desk.client, "check_applies", check_late)
    assert desk.client.signal(run_id, "review", {"approved": True}, signal_id="mail-7", timeout=0) == "accepted"


def test_a_signal_that_the_engine_refuses_says_why_and_so_does_its_repeat(waiting: tuple[Desk, str]):
    desk, run_id = waiting
    desk.client.cancel(run_id, timeout=0)
    desk.client.signal(run_id, "review", {"approved": True}, signal_id="late", timeout=0)
    desk.work()
    with pytest.raises(VerbRefused, match="refused the signal with this id before: the run goes back"):
        desk.client.signal(run_id, "review", {"approved": True}, signal_id="late")


def test_a_name_that_no_step_waits_for_is_refused_with_what_was_meant(waiting: tuple[Desk, str]):
    desk, run_id = waiting
    with pytest.raises(VerbRefused, match=f'run {run_id} takes no signal "reviw"; did you mean "review"?'):
        desk.client.signal(run_id, "reviw", {"approved": True})


def test_data_that_does_not_fit_is_refused_before_anything_is_sent(waiting: tuple[Desk, str]):
    desk, run_id = waiting
    with pytest.raises(SignalMisfit, match='"approved" is a required property'):
        desk.client.signal(run_id, "review")
    assert desk.client.stored(run_id).entries == ()


@pytest.mark.parametrize("signal_id", ["", "a|b", "two\nlines", "x" * 257])
def test_a_signals_id_has_to_be_short_printable_text(waiting: tuple[Desk, str], signal_id: str):
    desk, run_id = waiting
    with pytest.raises(UsageError, match="signal's id"):
        desk.client.signal(run_id, "review", {"approved": True}, signal_id=signal_id)


def test_an_unknown_answer_to_a_stuck_step_is_a_usage_error(desk: Desk):
    with pytest.raises(UsageError, match="is not one of"):
        desk.client.resolve("x", "charge", "done")


def test_rerun_takes_input_and_definition_of_the_run_and_numbers_its_key(desk: Desk):
    run_id = desk.run(fail="declined")
    first, second = desk.client.rerun(run_id), desk.client.rerun(run_id)
    keys = {info.run_id: (info.key, info.rerun_of) for info in desk.client.list()}
    assert keys[first.id] == ("A-1~2", run_id)
    assert keys[second.id] == ("A-1~3", run_id)
    desk.work()
    third = desk.client.rerun(first.id)
    assert {info.run_id: info.key for info in desk.client.list()}[third.id] == "A-1~4"


def test_a_key_with_a_tilde_of_its_own_keeps_it_when_it_is_numbered(desk: Desk):
    first = desk.client.rerun(desk.run(id="A~1", fail="declined"))
    desk.work()
    second = desk.client.rerun(first.id)
    keys = {info.run_id: info.key for info in desk.client.list()}
    assert (keys[first.id], keys[second.id]) == ("A~1~2", "A~1~3")


def test_a_run_that_is_under_way_is_not_run_again(desk: Desk):
    handle = desk.start()
    desk.store.tick()
    with pytest.raises(VerbRefused, match="only one that is over is run again"):
        desk.client.rerun(handle.id)


def test_a_client_finds_the_projects_server_and_namespace_by_itself(
    tmp_path: Path, valkey_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("SAGARUN_REDIS_URL", raising=False)
    (tmp_path / "sagarun.yaml").write_text(f"project: {namespace}\nredis_url: {valkey_url}\n")
    with Client(root=tmp_path) as client:
        assert client.store.namespace == namespace
        assert client.list() == []


# -- children -----------------------------------------------------------------------------------------
def test_waiting_for_a_run_ends_when_a_child_of_it_is_stuck(tmp_path: Path):
    desk = desk_of_a_parent(tmp_path)
    run_id = desk.run(fail="undo")
    result = desk.client.wait(run_id, timeout=0)
    assert (result.status, desk.client.get(run_id).status()) == ("stuck", "running")
    below = {info.run_id: info for info in desk.client.list()}[result.stuck_run]
    assert (below.workflow, below.status, below.parent) == ("order", "stuck", run_id)


@pytest.mark.parametrize("verb", ["resume", "resolve"])
def test_who_would_mend_the_parent_is_sent_to_the_stuck_child(tmp_path: Path, verb: str):
    desk = desk_of_a_parent(tmp_path)
    run_id = desk.run(fail="undo")
    child = desk.client.wait(run_id, timeout=0).stuck_run
    ask = desk.client.resume if verb == "resume" else lambda run: desk.client.resolve(run, "sub", "completed")
    with pytest.raises(VerbRefused, match=f"waits at sub for run {child}, which is stuck: {verb} that one"):
        ask(run_id)
    desk.undo_is_broken = False
    assert desk.client.resume(child, timeout=0) == "asked"
    desk.work()
    assert desk.client.wait(run_id, timeout=0).status == "compensated"


def test_a_signal_to_a_parent_is_sent_to_the_child_that_takes_it(tmp_path: Path):
    (tmp_path / "child.yaml").write_text(EVERYTHING.replace("workflow: everything", "workflow: child"))
    desk = Desk(tmp_path, "workflow: parent\nversion: 1.0.0\nsteps: [{id: sub, subworkflow: child}]\n")
    run_id = desk.client.start(desk.definition).id
    desk.work()
    (child,) = [info.run_id for info in desk.client.list() if info.parent]
    with pytest.raises(VerbRefused, match=f"takes no signal review, but run {child} below it does"):
        desk.client.signal(run_id, "review", {"approved": True})
    with pytest.raises(VerbRefused, match="takes no signals: no step of parent"):
        desk.client.signal(run_id, "reviews", {"approved": True})
