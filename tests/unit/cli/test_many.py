"""Acting on many runs: it has to be plain which ones are meant, and what came of each decides how the command ends."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runner.cli.failure import Exit
from runner.cli.many import Act, Result, _choose, _code, of_group, one_run, run_and
from runner.cli.screen import Screen
from runner.errors import UsageError
from tests.desk import Desk


def test_it_is_one_run_or_those_that_a_query_fits():
    assert one_run("abc", None) == "abc"
    assert one_run(None, "x") is None
    assert one_run(None, None, "group") is None
    assert run_and(["abc", "charge"], "STEP", None) == ("abc", "charge")
    assert run_and(["charge"], "STEP", "x") == (None, "charge")


@pytest.mark.parametrize("given", [(None, None), ("abc", "x"), ("abc", None, "group")])
def test_both_or_neither_is_refused(given: tuple[str | None, ...]):
    with pytest.raises(UsageError, match=r"RUN|is one run"):
        one_run(*given)


@pytest.mark.parametrize(("words", "query", "form"), [
    (["abc"], None, "RUN STEP"), (["a", "b", "c"], None, "RUN STEP"), (["a", "b"], "x", "--query QUERY STEP"),
])  # fmt: skip
def test_a_step_belongs_to_a_run_or_to_a_query(words: list[str], query: str | None, form: str):
    with pytest.raises(UsageError, match=form):
        run_and(words, "STEP", query)


def test_a_group_of_errors_narrows_the_query():
    assert of_group("since:1d", "abc", "status:stuck") == "since:1d pattern:abc status:stuck"
    assert of_group("since:1d", None, "status:stuck") == "since:1d"


def test_what_was_run_again_and_came_right_is_not_run_a_third_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Given twice, a query finds what the first time has started."""
    desk = Desk(tmp_path)
    failed, done = desk.run(id="A", fail="declined"), desk.run(id="B")
    reach: Any = SimpleNamespace(client=desk.client, settings=SimpleNamespace(screen=Screen()))
    act = Act("rerun", lambda *_: ("", ""), roots_only=True, once=True)

    def chosen(query: str) -> set[str]:
        return {run.run_id for run in _choose(reach, act, query)}

    assert chosen("workflow:order") == {failed, done}
    failed_again, done_again = desk.client.rerun(failed).id, desk.client.rerun(done).id
    desk.work()
    assert chosen("workflow:order") == {failed_again}
    assert "it is a rerun that completed: 1 run" in capsys.readouterr().err
    assert chosen("workflow:order rerun_of:any") == {failed_again, done_again}


def result(answer: str, status: str = "", started: str = "") -> Result:
    return Result("r", "verb", answer, started=started, status=status)


@pytest.mark.parametrize(("results", "code"), [
    ([], Exit.DONE),
    ([result("accepted")], Exit.DONE),
    ([result("accepted", "compensated")], Exit.DONE),
    ([result("accepted"), result("refused")], Exit.NEGATIVE),
    ([result("accepted", "stuck")], Exit.NEEDS_PERSON),
    ([result("accepted"), result("asked")], Exit.TIMED_OUT),
    ([result("started", "completed", "n")], Exit.DONE),
    ([result("started", "", "n")], Exit.DONE),
    ([result("started", "completed", "n"), result("started", "compensated", "m")], Exit.NEGATIVE),
])  # fmt: skip
def test_the_exit_code_tells_the_worst(results: list[Result], code: Exit):
    assert _code(results) == code
