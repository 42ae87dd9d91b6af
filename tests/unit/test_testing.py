"""What users' tests are given: a workflow run in memory, contexts, and the same as pytest fixtures."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner import BusinessError
from runner.errors import DefinitionError, InputError, SignalMisfit, UsageError
from runner.testing import Signal, case_names, check_case, run_workflow
from runner.worker.registry import Registry

TEXT = """
workflow: two
version: 1.0.0
input: {type: object, required: [n], properties: {n: {type: integer}}}
steps:
  - {id: a, worker: t.do, with: {n: "{{ input.n }}"}, compensate: {worker: t.undo}}
  - {id: b, worker: t.say, kind: readonly, raises: [no]}
"""


def do(n: int) -> int:
    return n


def undo() -> None: ...


def say() -> str:
    raise BusinessError("no")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "two.yaml"
    path.write_text(TEXT)
    return path


def test_a_run_tells_what_was_called_and_what_was_undone(path: Path) -> None:
    run = run_workflow(path, {"n": 1}, workers={"t.do": do, "t.undo": undo, "t.say": say}, root=path.parent)
    assert (run.status, run.calls, run.undone) == ("compensated", ("t.do", "t.say", "t.undo"), ("a",))
    assert run.steps == {"a": "compensated", "b": "failed"}


def test_a_wrong_input_is_refused_like_at_a_real_start(path: Path) -> None:
    with pytest.raises(InputError, match="n"):
        run_workflow(path, {"n": "one"}, workers={}, root=path.parent)


def test_a_wrong_definition_is_refused(path: Path) -> None:
    path.write_text(TEXT.replace("worker: t.do", "wroker: t.do"))
    with pytest.raises(DefinitionError):
        run_workflow(path, {"n": 1}, workers={}, root=path.parent)


def test_a_run_that_never_rests_is_an_error_and_not_a_hang(path: Path) -> None:
    patient = "kind: readonly, retry: {max_attempts: 1000, initial: 10m, max: 10m}"
    path.write_text(TEXT.replace("kind: readonly", patient))

    def hang_up() -> str:
        raise OSError("down")

    with pytest.raises(TimeoutError, match="virtual time"):
        run_workflow(
            path, {"n": 1}, workers={"t.do": do, "t.undo": undo, "t.say": hang_up}, root=path.parent, limit_ms=3_600_000
        )


# -- signals ------------------------------------------------------------------------------------------
WAITING = """
workflow: waiting
version: 1.0.0
steps:
  - id: ask
    wait_for: {signal: review, schema: {type: object, required: [ok], properties: {ok: {type: boolean}}}}
  - {id: sleep, wait: 60d}
  - {id: hear, wait_for: {signal: word, timeout: 1d, on_timeout: continue}}
output: {ok: "{{ steps.ask.output.ok }}", word: "{{ steps.hear.output | default('nothing') }}"}
"""


@pytest.fixture
def waiting(tmp_path: Path) -> Path:
    path = tmp_path / "waiting.yaml"
    path.write_text(WAITING)
    return path


def test_a_signal_comes_as_soon_as_a_step_waits_for_it_and_waits_take_no_time(waiting: Path) -> None:
    signals = [{"name": "word", "data": "late"}, Signal("review", {"ok": True})]
    run = run_workflow(waiting, workers={}, root=waiting.parent, signals=signals)
    assert (run.status, run.output) == ("completed", {"ok": True, "word": "late"})
    assert run.duration_ms == 60 * 86_400_000


def test_a_signal_may_come_at_a_time(waiting: Path) -> None:
    signals = [Signal("review", {"ok": True}, after="2h"), Signal("word", "early", after="1s")]
    run = run_workflow(waiting, workers={}, root=waiting.parent, signals=signals)
    assert (run.output["word"], run.duration_ms) == ("early", 60 * 86_400_000 + 7_200_000)


def test_a_signal_after_the_timeout_is_too_late(waiting: Path) -> None:
    signals = [Signal("review", {"ok": True}), Signal("word", "late", after="62d")]
    assert run_workflow(waiting, workers={}, root=waiting.parent, signals=signals).output["word"] == "nothing"


def test_a_signal_that_is_missing_is_told(waiting: Path) -> None:
    with pytest.raises(TimeoutError, match="waits for the signal review, and no more of `signals` is left"):
        run_workflow(waiting, workers={}, root=waiting.parent)


def test_a_signal_is_checked_before_anything_runs(waiting: Path) -> None:
    with pytest.raises(SignalMisfit, match="ok"):
        run_workflow(waiting, workers={}, root=waiting.parent, signals=[Signal("review", {"ok": "yes"})])
    with pytest.raises(UsageError, match='did you mean "review"'):
        run_workflow(waiting, workers={}, root=waiting.parent, signals=[Signal("reviews")])


# -- cases --------------------------------------------------------------------------------------------
CASES = """
definition: two.yaml
cases:
  - {name: says_no, input: {n: 1}, expect: {status: compensated, error: no, undone: [a], steps: {a: compensated}}}
  - {name: wrong, input: {n: 1}, expect: {status: completed, error: yes, undone: [], steps: {b: completed}, output: 1}}
"""
CALLS = {"t.do": do, "t.undo": undo, "t.say": say}


@pytest.fixture
def cases(path: Path) -> Path:
    file = path.with_name("two.test.yaml")
    file.write_text(CASES)
    return file


def test_a_case_that_ends_as_expected_gives_its_run(cases: Path) -> None:
    assert case_names(cases) == ["says_no", "wrong"]
    assert check_case(cases, "says_no", workers=CALLS, root=cases.parent).calls == ("t.do", "t.say", "t.undo")


def test_a_case_that_does_not_is_an_assertion_that_says_everything(cases: Path) -> None:
    with pytest.raises(AssertionError) as caught:
        check_case(cases, "wrong", workers=CALLS, root=cases.parent)
    assert str(caught.value).splitlines() == [
        "two.test.yaml: wrong: not as expected",
        "  status: expected completed, got compensated",
        "  error: expected yes, got no",
        '  undone: expected [], got ["a"]',
        "  output: expected 1, got null",
        "  b: expected completed, got failed",
    ]


def test_a_test_file_of_another_form_is_refused(cases: Path) -> None:
    cases.write_text("cases: []")
    with pytest.raises(DefinitionError):
        case_names(cases)


LOOP = """
workflow: loop
version: 1.0.0
steps:
  - id: lines
    for_each:
      in: [1, 2, 3]
      as: n
      steps:
        - {id: take, worker: t.do, with: {n: "{{ n }}"}, compensate: {worker: t.undo}}
        - {id: check, when: "{{ n == 3 }}", fail: {error: odd}}
"""
LOOP_CASES = """
definition: loop.yaml
cases:
  - name: by_path
    input: {}
    expect:
      status: compensated
      undone: [lines#2/take, lines#1/take, lines#0/take]
      steps: {lines#1/check: skipped, lines#2/check: failed}
  - {name: by_id, input: {}, expect: {status: compensated, undone: [take, take, take], steps: {take: compensated}}}
  - {name: mixed, input: {}, expect: {status: compensated, steps: {check: failed}}}
"""


def test_steps_of_a_loop_are_expected_by_path_or_by_id(tmp_path: Path) -> None:
    (tmp_path / "loop.yaml").write_text(LOOP)
    file = tmp_path / "loop.test.yaml"
    file.write_text(LOOP_CASES)
    for name in ("by_path", "by_id"):
        check_case(file, name, workers=CALLS, root=tmp_path)
    with pytest.raises(AssertionError, match="check: expected failed, got failed and skipped"):
        check_case(file, "mixed", workers=CALLS, root=tmp_path)


def test_the_fixtures_are_there_for_who_asks(tmp_path: Path) -> None:
    import subprocess
    import sys

    root = Path(__file__).parents[2]
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["runner.testing"]\n')
    (tmp_path / "test_it.py").write_text(
        "def test_it(run_workflow, fake_context):\n"
        "    assert fake_context(attempt=2).attempt == 2\n"
        "    assert callable(run_workflow)\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:valkey", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=root, env={"PYTHONPATH": str(root), "PATH": ""}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_rate_limit_passes_in_virtual_time(path: Path) -> None:
    registry = Registry()
    registry.worker("t.do", rate_limit="1/m")(do)
    registry.worker("t.undo")(undo)
    registry.worker("t.say")(lambda: "said")
    text = TEXT.replace("\nsteps:", "\nsteps:\n  - {id: z, worker: t.do, with: {n: 1}, compensate: {worker: t.undo}}")
    path.write_text(text.replace("raises: [no]", "raises: []"))
    run = run_workflow(path, {"n": 1}, workers=registry, root=path.parent)
    assert (run.status, run.duration_ms) == ("completed", 60_000)


PARENT = """
workflow: parent
version: 1.0.0
steps:
  - {id: first, worker: t.do, with: {n: 1}, compensate: {worker: t.undo}}
  - {id: sub, subworkflow: child, with: {n: 2}}
  - {id: last, worker: t.say, kind: readonly, raises: [no]}
output: "{{ steps.sub.output }}"
"""
CHILD = """
workflow: child
version: 1.0.0
input: {type: object, required: [n], properties: {n: {type: integer}}}
steps:
  - {id: a, worker: t.do, with: {n: "{{ input.n }}"}, compensate: {worker: t.undo}}
output: "{{ steps.a.output }}"
"""


@pytest.fixture
def family(path: Path) -> Path:
    (path.parent / "child.yaml").write_text(CHILD)
    parent = path.parent / "parent.yaml"
    parent.write_text(PARENT)
    return parent


def test_a_run_is_told_with_its_children(family: Path) -> None:
    workers = {"t.do": do, "t.undo": undo, "t.say": say}
    run = run_workflow(family, workers=workers, root=family.parent)
    assert run.status == run.children["sub"].status == "compensated"
    assert run.calls == ("t.do", "t.do", "t.say", "t.undo", "t.undo")
    assert run.undone == ("sub/a", "first")
    assert run.children["sub"].calls == ("t.do", "t.undo")
    assert run.children["sub"].steps == {"a": "compensated"}
    run = run_workflow(family, workers={**workers, "t.say": lambda: ""}, root=family.parent)
    assert (run.status, run.output, run.children["sub"].output) == ("completed", 2, 2)


def test_a_run_whose_child_is_stuck_is_at_rest(family: Path) -> None:
    def refuse() -> None:
        raise BusinessError("locked", "no")

    family.write_text(PARENT.replace("steps:", "timeout: 1h\nsteps:", 1))
    run = run_workflow(family, workers={"t.do": do, "t.undo": refuse, "t.say": say}, root=family.parent)
    assert (run.status, run.children["sub"].status) == ("compensating", "stuck")
    assert run.duration_ms < 3_600_000


def test_a_child_that_breaks_is_an_error_and_not_a_hang(family: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from runner.interpreter import evolve

    def broken(*_: object) -> None:
        raise ZeroDivisionError("our bug")

    monkeypatch.setitem(evolve.EVOLVE, evolve.ev.RunProvisional, broken)
    with pytest.raises(RuntimeError, match="our bug"):
        run_workflow(family, workers={"t.do": do, "t.undo": undo, "t.say": say}, root=family.parent)
