"""Loading scripts and packing their arguments; what the scripts do is in tests/conformance."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
from redis.exceptions import NoScriptError

from runner.store.keys import Keys
from runner.store.ports import Commit, Completion, Dispatch, NewRun, Slot
from runner.store.scripts import Scripts, load_script


class FakeConnection:
    """Knows no script yet: EVALSHA is refused, EVAL answers."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.sent: list[tuple[Any, ...]] = []

    def ask(self, command: Any, *, admits: bool = False) -> Any:
        return command(self)

    def evalsha(self, *args: Any) -> Any:
        self.sent.append(args)
        raise NoScriptError

    def eval(self, *args: Any) -> Any:
        self.sent.append(args)
        return self.answer


def scripts(answer: Any, clock: Any = None) -> tuple[Scripts, FakeConnection]:
    connection = FakeConnection(answer)
    return Scripts(connection, Keys("ns"), clock), connection  # type: ignore[arg-type]


def test_the_digest_is_what_the_server_computes():
    script = load_script("take_runs")
    assert script.sha == hashlib.sha1(script.source.encode()).hexdigest()
    assert load_script("take_runs") is script


def test_an_unknown_script_is_sent_whole_with_the_same_arguments():
    made, connection = scripts(b"5")
    assert made.read_clock() == 5
    by_digest, whole = connection.sent
    script = load_script("read_clock")
    assert (by_digest[0], whole[0]) == (script.sha, script.source)
    assert by_digest[1:] == whole[1:] == (1, "{ns:00}:clock", "")


def test_a_clock_is_passed_as_the_first_argument():
    made, connection = scripts(b"5", clock=lambda: 42)
    made.read_clock()
    assert connection.sent[0][-1] == 42


def packed(*commits: Commit) -> bytes:
    made, connection = scripts([b"ok"] * len(commits))
    made.commit_runs(commits=commits)
    envelope = connection.sent[0][-1]
    assert isinstance(envelope, bytes)
    return envelope


def test_commits_are_packed_as_one_argument():
    commit = Commit(
        "r", "e1", "e2", 3, b"state", "running", False, {"w": b"1"}, (Dispatch("a", "q", b"m", "p", 5),),
        (("b", True),), (("t", 9),), ("u",), (b"h",), True, 7, last_seen="timer|5|u|",
    )
    plain = Commit("r", "e2", "e3", 0, b"state", "running")
    child = NewRun("c", "n", "d", b"{}", b"in")
    over = Commit("r", "e4", "e5", 0, b"s", "ended", True, dispatches=commit.dispatches, paths=("a", "b"))
    family = Commit("r", "e3", "e4", 0, b"s", "running", starts=(child,), tells=(("p", b"told"),))
    assert msgspec.msgpack.decode(packed(commit, plain, family, over)) == [
        ["r", "e1", "e2", [3, "timer|5|u|"], False, True, 7,
         ["etag", "e2", "state", "state", "status", "running", "w:w", "1"],
         ["a", "q", "p", "m", 5], ["h"], ["b", True], ["t", 9], ["u"]],
        ["r", "e2", "e3", 0, False, False, 0, ["etag", "e3", "state", "state", "status", "running"], [], []],
        ["r", "e3", "e4", 0, False, False, 0, ["etag", "e4", "state", "s", "status", "running"], [], [],
         [], [], [], ["c", "n", "d", "{}", "in"], ["p", "told"]],
        ["r", "e4", "e5", 0, True, False, 0, ["etag", "e5", "state", "s", "status", "ended"], ["a", "b"], []],
    ]


def test_bytes_that_are_no_text_are_packed_as_a_string_all_the_same():
    """The scripts' unpacker knows no binary type."""
    envelope = packed(Commit("r", "e1", "e2", 0, b"\xff\x00", "running"))
    assert b"\xa5state\xdb\x00\x00\x00\x02\xff\x00\xa6status" in envelope


def test_starts_and_outcomes_are_packed_in_order():
    made, connection = scripts([b""])
    slot = Slot("order:a|b", 3, "reject")
    made.start_runs(runs=[NewRun("r", "n", "d", b"{}", b"in"),
                         NewRun("s", "n", "d", b"{}", b"in", slot, ("def", "child"))])
    assert connection.sent[0][-15:-7] == (2, "r", "n", "d", b"{}", b"in", "", "")
    assert connection.sent[0][-2:] == ("3|r|order:a|b", "def|child")
    made.exchange_tasks(process="p", nonce="n", lease_ms=5, capacity=999, queues=["q"], quotas={}, completions=[
        Completion("r", "a", "1-e", b"body", True, b"out"), Completion("r", "b", "2-e", b"body", output=b"out")])
    args = connection.sent[2][2 + 9 :]
    assert args[1:5] == ("p", "n", 5, 200)
    assert args[6:10] == (1, "q", 0, 2)
    assert args[10:-4] == ("r", "a", "1-e", "1", b"body", b"", "r", "b", "2-e", "0", b"body", b"out")
