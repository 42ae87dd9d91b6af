"""Defaults, names and kinds, written out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runner.definition.load import examine_text
from runner.definition.model import (
    PATIENT,
    Action,
    BlockAction,
    Catch,
    Concurrency,
    Definition,
    LoopAction,
    ParallelAction,
    RepeatAction,
    Retry,
    Schedule,
    SignalAction,
    Step,
    SwitchAction,
    WaitAction,
    WorkerAction,
)
from runner.definition.resolve import MAX_NESTING, MAX_STEPS

CONTRACTS = {"look": {"readonly": True}, "act": {"readonly": False}}


def define(steps: str, head: str = "", contracts: Any = None, finally_: str = "[]") -> Definition:
    text = f"workflow: a\nversion: '1'\n{head}\nsteps:\n{steps}\nfinally: {finally_}\n"
    draft = examine_text(text, file="a.yaml", root=Path(), contracts=contracts)
    assert draft.problems == ()
    assert draft.definition is not None
    return draft.definition


def found(steps: str, head: str = "") -> list[tuple[str, int]]:
    text = f"workflow: a\nversion: '1'\n{head}\nsteps:\n{steps}\n"
    return [(problem.code, problem.line) for problem in examine_text(text, file="a.yaml", root=Path()).problems]


def worker(step: str, head: str = "", contracts: Any = None) -> WorkerAction:
    [made] = define(f"  - {step}", head, contracts).steps
    assert isinstance(made.action, WorkerAction)
    return made.action


def action(step: str, head: str = "") -> Action:
    [made] = define(f"  - {step}", head).steps
    return made.action


def inner(action: Action) -> list[tuple[Step, ...]]:
    match action:
        case BlockAction(steps) | LoopAction(steps=steps) | RepeatAction(steps=steps):
            return [steps]
        case ParallelAction(branches=branches):
            return list(branches.values())
        case SwitchAction(cases):
            return [case.steps for case in cases]
        case _:
            return []


def paths(steps: tuple[Step, ...]) -> list[str]:
    found: list[str] = []
    for step in steps:
        found.append(step.path)
        for below in inner(step.action):
            found += paths(below)
        for catch in step.catch:
            found += paths(catch.steps)
    return found


def test_the_built_in_defaults() -> None:
    action = worker("{id: a, worker: w, compensate: {worker: u}, verify: {worker: v}}")
    assert action.call.timeout_ms == 60_000
    assert action.call.retry == Retry()
    assert action.call.with_ == {}
    assert action.compensate is not None
    assert action.compensate.retry == PATIENT
    assert action.verify is not None
    assert action.verify.retry == PATIENT
    assert (action.queue_timeout_ms, action.total_timeout_ms, action.heartbeat_ms) == (0, 0, 0)


def test_what_a_step_says_goes_before_the_defaults() -> None:
    head = "use: {retries: {quick: {max_attempts: 2}, slow: {initial: 1m, max: 1h}}}\n"
    head += "defaults: {timeout: 5s, retry: quick}\ncompensation: {retry: slow}"
    plain = worker("{id: a, worker: w, compensate: {worker: u}}", head)
    assert plain.compensate is not None
    assert (plain.call.timeout_ms, plain.call.retry.max_attempts) == (5_000, 2)
    assert (plain.compensate.timeout_ms, plain.compensate.retry.initial_ms) == (5_000, 60_000)
    undo = "{worker: u, retry: {max_attempts: 9}}"
    own = worker(f"{{id: a, worker: w, timeout: 1s, retry: slow, compensate: {undo}}}", head)
    assert own.compensate is not None
    assert (own.call.timeout_ms, own.call.retry.max_ms) == (1_000, 3_600_000)
    assert own.compensate.retry == Retry(max_attempts=9)


def test_a_retriable_step_is_patient_unless_it_says_otherwise() -> None:
    head = "defaults: {retry: {max_attempts: 2}}"
    assert worker("{id: a, worker: w, kind: retriable}", head).call.retry == PATIENT
    assert worker("{id: a, worker: w, kind: retriable, retry: {max_attempts: 5}}", head).call.retry.max_attempts == 5


@pytest.mark.parametrize(
    ("step", "kind", "on_unknown"),
    [
        ("worker: look", "readonly", None),
        ("worker: act", "none", "halt"),
        ("worker: look, compensate: {worker: u}", "compensatable", "compensate"),
        ("worker: act, compensate: {worker: u}", "compensatable", "compensate"),
        ("worker: act, compensate: {worker: u}, verify: {worker: v}", "compensatable", "verify"),
        ("worker: act, compensate: {worker: u}, verify: {worker: v}, on_unknown: halt", "compensatable", "halt"),
        ("worker: act, compensate: none, reason: because", "none", "halt"),
        ("worker: look, compensate: none, reason: because", "none", "halt"),
        ("worker: act, compensate: none, reason: because, verify: {worker: v}", "none", "verify"),
        ("worker: act, kind: pivot", "pivot", "retry"),
        ("worker: act, kind: pivot, verify: {worker: v}", "pivot", "verify"),
        ("worker: act, kind: retriable", "retriable", "retry"),
        ("worker: act, kind: readonly", "readonly", None),
        ("worker: unheard_of", "none", "halt"),
    ],
)
def test_kind_and_on_unknown_have_defaults(step: str, kind: str, on_unknown: str | None) -> None:
    action = worker(f"{{id: a, {step}}}", contracts=CONTRACTS)
    assert action.kind == kind
    assert on_unknown is None or action.on_unknown == on_unknown


def test_without_contracts_nothing_is_readonly_by_itself() -> None:
    assert worker("{id: a, worker: look}").kind == "none"


def test_on_failure_continue_is_a_catch_of_any_error() -> None:
    [step] = define("  - {id: a, worker: w, kind: readonly, on_failure: continue}").steps
    assert step.catch == (Catch(errors=("any",), undo=True, steps=()),)
    [step] = define("  - {id: a, worker: w, kind: readonly, on_failure: fail}").steps
    assert step.catch == ()


def test_steps_without_an_id_are_numbered_in_the_order_of_the_file() -> None:
    steps = """
  - {set: {}}
  - steps: [{set: {}}]
    catch: [{steps: [{fail: rethrow}]}]
  - {id: step_6, set: {}}
  - {set: {}}"""
    assert paths(define(steps).steps) == ["step_1", "step_2", "step_2/step_3", "step_2~0/step_4", "step_6", "step_6_"]


def test_paths_say_where_a_step_is() -> None:
    steps = """
  - id: a
    steps:
      - id: b
        steps: [{id: c, set: {}}]
        catch: [{steps: []}, {steps: [{id: d, steps: [{id: e, set: {}}]}]}]
    catch: [{steps: [{id: f, set: {}}]}]"""
    made = define(steps, finally_="[{id: g, steps: [{id: h, set: {}}], catch: [{steps: [{id: i, set: {}}]}]}]")
    assert paths(made.steps) == ["a", "a/b", "a/b/c", "a/b~1/d", "a/b~1/d/e", "a~0/f"]
    assert paths(made.finally_) == ["~finally/g", "~finally/g/h", "~finally/g~0/i"]


def test_paths_say_in_which_branch_item_round_and_case_a_step_is() -> None:
    steps = """
  - id: checks
    parallel:
      branches:
        fraud: [{id: score, set: {}}]
        stock: [{id: lines, for_each: {in: [1], steps: [{id: look, set: {}}]}}]
  - id: ask
    repeat: {max: 3, until: "{{ true }}", steps: [{id: again, set: {}, catch: [{steps: [{id: dealt, set: {}}]}]}]}
  - id: risk
    switch:
      - {when: "{{ false }}", steps: [{id: low, set: {}}]}
      - {when: "{{ false }}", steps: [{id: mid, steps: [{id: deep, set: {}}]}]}
      - else: [{id: high, set: {}}]"""
    assert paths(define(steps).steps) == [
        "checks", "checks.fraud/score", "checks.stock/lines", "checks.stock/lines#/look",
        "ask", "ask#/again", "ask#/again~0/dealt",
        "risk", "risk.0/low", "risk.1/mid", "risk.1/mid/deep", "risk.else/high",
    ]  # fmt: skip


def test_the_defaults_of_the_constructs() -> None:
    parallel = action("{parallel: {branches: {a: [{set: {}}]}}}")
    assert isinstance(parallel, ParallelAction)
    assert (parallel.join, parallel.on_branch_failure) == ("all", "drain")
    loop = action("{for_each: {in: '{{ input }}', steps: [{set: {}}]}}")
    assert isinstance(loop, LoopAction)
    assert (loop.as_, loop.max_parallel, loop.on_item_failure, loop.output) == ("item", 1, "fail", None)
    assert action("{wait: 10m}") == WaitAction(duration="10m")
    assert action("{wait: {until: '{{ input.at }}'}}") == WaitAction(until="{{ input.at }}")
    assert action("{id: a, wait_for: {signal: go}}") == SignalAction(signal="go")
    confirmed = worker("{id: a, worker: w, compensate: {worker: u}, confirm: {worker: c}}", "defaults: {timeout: 9s}")
    assert confirmed.confirm is not None
    assert (confirmed.confirm.timeout_ms, confirmed.confirm.retry) == (9_000, PATIENT)


@pytest.mark.parametrize(
    ("given", "timeout", "on_timeout"),
    [
        ("timeout: 2d", "2d", "signal_timeout"),
        ("timeout: 2d, on_timeout: continue", "2d", None),
        ("timeout: '{{ input.days }}d', on_timeout: {fail: late}", "{{ input.days }}d", "late"),
    ],
)
def test_what_a_signal_that_does_not_come_leads_to(given: str, timeout: str, on_timeout: str | None) -> None:
    made = action(f"{{id: a, wait_for: {{signal: go, {given}}}}}")
    assert made == SignalAction(signal="go", timeout=timeout, on_timeout=on_timeout)


def test_the_schema_of_a_signal_is_complete_in_itself() -> None:
    head = "use: {schemas: {answer: {type: object, required: [ok]}}}"
    made = action("{id: a, wait_for: {signal: go, schema: {$ref: '#/use/schemas/answer'}}}", head)
    assert isinstance(made, SignalAction)
    assert made.schema == {"type": "object", "required": ["ok"]}
    wrong = "{id: a, wait_for: {signal: go, schema: {type: objec}}}"
    assert found(f"  - {wrong}") == [("SR111", 5)]


def test_concurrency_and_schedule_have_defaults() -> None:
    made = define("  - {set: {}}", "concurrency: {limit: 2}\nschedule: {cron: 0 6 * * *}")
    assert made.concurrency == Concurrency(limit=2, key=None, on_limit="queue")
    assert made.schedule == Schedule(cron="0 6 * * *", timezone="UTC", overlap="skip", input=None)


@pytest.mark.parametrize("cases", ["{else: []}, {when: '{{ true }}', steps: []}", "{else: []}, {else: []}"])
def test_else_is_the_last_case_and_the_only_one(cases: str) -> None:
    assert found(f"  - switch: [{cases}]") == [("SR116", 5)]


@pytest.mark.parametrize(
    ("given", "codes"),
    [
        ("wait: 3650d", []),
        ("wait: 3651d", ["SR108"]),
        ("wait: 0s", ["SR108"]),
        ("wait: {until: '2030-01-01T06:00:00+02:00'}", []),
        ("wait: {until: '2030-01-01T06:00:00'}", ["SR105"]),
        ("wait: {until: '2030-01-01'}", ["SR105"]),
        ("wait: {until: '2030-02-30T06:00:00Z'}", ["SR105"]),
        ("id: a, wait_for: {signal: go, timeout: 0s}", ["SR108"]),
    ],
)
def test_a_wait_that_is_written_out_is_one_that_can_be(given: str, codes: list[str]) -> None:
    assert found(f"  - {{{given}}}") == [(code, 5) for code in codes]


CONTAINERS = [
    ("{parallel: {branches: {a: [", "]}}}"),
    ("{for_each: {in: [1], steps: [", "]}}"),
    ("{repeat: {max: 2, until: '{{ true }}', steps: [", "]}}"),
    ("{switch: [{when: '{{ true }}', steps: [", "]}]}"),
    ("{switch: [{else: [", "]}]}"),
]


@pytest.mark.parametrize(("open_", "close"), CONTAINERS)
def test_steps_of_every_container_count_nest_and_have_ids(open_: str, close: str) -> None:
    many = ", ".join("{set: {}}" for _ in range(MAX_STEPS - 1))
    assert found(f"  - {open_}{many}{close}") == []
    assert found(f"  - {open_}{many}{close}\n  - {{set: {{}}}}") == [("SR112", 6)]

    def nested(levels: int) -> str:
        return f"  - {open_}{'{steps: [' * (levels - 2)}{{set: {{}}}}{']}' * (levels - 2)}{close}"

    assert found(nested(MAX_NESTING)) == []
    assert found(nested(MAX_NESTING + 1)) == [("SR113", 5)]
    assert found(f"  - {open_}{{id: a, set: {{}}}}{close}\n  - {{id: a, set: {{}}}}") == [("SR211", 6)]
    taken = define(f"  - {{set: {{}}}}\n  - {open_}{{id: step_1, set: {{}}}}{close}").steps
    assert [step.id for step in taken] == ["step_1_", "step_2"]


def test_500_steps_are_taken_and_501_are_not() -> None:
    steps = "\n".join("  - {set: {}}" for _ in range(MAX_STEPS))
    assert len(define(steps).steps) == MAX_STEPS
    assert found(f"{steps}\n  - {{set: {{}}}}\n  - {{set: {{}}}}") == [("SR112", 505)]


def test_steps_of_handlers_and_finally_count_too() -> None:
    steps = "\n".join("  - {set: {}}" for _ in range(MAX_STEPS - 2))
    assert found(f"{steps}\n  - {{set: {{}}, catch: [{{steps: [{{fail: rethrow}}]}}]}}") == []
    assert found(f"{steps}\n  - {{set: {{}}, catch: [{{steps: [{{fail: rethrow}}]}}]}}\nfinally: [{{set: {{}}}}]") == [
        ("SR112", 504)
    ]


@pytest.mark.parametrize(("open_", "close"), [("{steps: [", "]}"), ("{set: {}, catch: [{steps: [", "]}]}")])
def test_16_levels_of_steps_are_taken_and_17_are_not(open_: str, close: str) -> None:
    def nested(levels: int) -> str:
        return f"  - {open_}{'{steps: [' * (levels - 2)}{{set: {{}}}}{']}' * (levels - 2)}{close}"

    assert found(nested(MAX_NESTING)) == []
    assert found(nested(MAX_NESTING + 1)) == [("SR113", 5)]


def test_an_id_that_is_there_twice_is_found_wherever_it_is() -> None:
    assert found("  - {id: a, set: {}}\n  - {steps: [{id: a, set: {}}]}\nfinally:\n  - {id: a, set: {}}") == [
        ("SR211", 6),
        ("SR211", 8),
    ]


def test_a_policy_that_nobody_uses_is_checked() -> None:
    assert found("  - {set: {}}", "use: {retries: {quick: {max: 9999d}}}") == [("SR108", 3)]


def test_a_policy_used_often_is_wrong_once() -> None:
    steps = "\n".join(f"  - {{id: a{n}, worker: w, kind: readonly, retry: quick}}" for n in range(3))
    assert found(steps, "use: {retries: {quick: {max: 9999d}}}") == [("SR108", 3)]


@pytest.mark.parametrize(
    ("with_", "kind"),
    [
        ("method: GET", "readonly"), ("method: HEAD", "readonly"), ("method: POST", "none"), ("method: get", "none"),
        ("x: y", "none"), ('method: "{{ input.method }}"', "none"),
    ],
)  # fmt: skip
def test_a_request_that_only_reads_is_readonly_without_any_contract(with_: str, kind: str):
    head = "input: {properties: {method: {}}}"
    assert worker(f"{{id: s, worker: http.request, with: {{{with_}}}}}", head).kind == kind


def test_a_request_that_only_reads_may_be_undone_all_the_same():
    step = "{id: s, worker: http.request, with: {method: GET}, compensate: {worker: act}}"
    assert worker(step).kind == "compensatable"
