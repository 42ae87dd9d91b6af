"""Loading scripts and packing their arguments; what the scripts do is in tests/conformance."""

from __future__ import annotations

import hashlib
from typing import Any

from redis.exceptions import NoScriptError

from runner.store.keys import Keys
from runner.store.ports import Commit, Completion, Dispatch, NewRun
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


def test_lists_are_packed_with_their_lengths():
    made, connection = scripts([b"ok"])
    made.commit_runs(commits=[Commit(
        "r", "e1", "e2", 3, b"state", "running", True, {"w": b"1"}, (Dispatch("a", "q", b"m", "p", 5),), ("b",),
        (("t", 9),), ("u",), (b"h",), True, 7,
    )])
    args = connection.sent[0][2 + 8 :]
    assert args[3:] == (
        1, "r", "e1", "e2", 3, b"state", "running", 1, 1, 7, 1, "w", b"1", 1, "a", "q", b"m", "p", 5, 1, "b", 1, "t", 9,
        1, "u", 1, b"h",
    )


def test_starts_and_outcomes_are_packed_in_order():
    made, connection = scripts([b""])
    made.start_runs(runs=[NewRun("r", "n", "d", b"{}", b"in")])
    assert connection.sent[0][-6:] == (1, "r", "n", "d", b"{}", b"in")
    made.exchange_tasks(process="p", nonce="n", lease_ms=5, capacity=999, queues=["q"], completions=[
        Completion("r", "a", "1-e", b"body", True)])
    args = connection.sent[2][2 + 7 :]
    assert args[1:5] == ("p", "n", 5, 200)
    assert args[6:] == (1, "q", 1, "r", "a", "1-e", "1", b"")
